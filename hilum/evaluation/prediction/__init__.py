"""New films through a trained model: scores without labels, and maps of where a score comes from."""
