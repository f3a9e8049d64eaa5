"""int8: convolutions in 8 bits, their ranges and rounding, and which of them stay float32."""
