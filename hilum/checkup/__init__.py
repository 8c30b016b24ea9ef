"""What `hilum doctor` looks at: anything here, in data, encoders or a planned run that would fail later."""
