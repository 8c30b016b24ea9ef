"""Protocols: what an encoder is worth, frozen or fine-tuned, while it trains or afterwards."""
