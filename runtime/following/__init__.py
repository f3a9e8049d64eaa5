"""How a subscriber follows a device: `follower` decides, without sockets and clocks; `connection` has the sockets."""
