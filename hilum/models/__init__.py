"""Parts of networks: no losses, no training loops, no files of films."""
