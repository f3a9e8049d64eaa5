"""What the page keeps: scores, alerts with pictures, and what people said of them."""
