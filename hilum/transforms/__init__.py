"""From stored films to the tensors that encoders and methods want."""
