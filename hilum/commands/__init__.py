"""One verb a file: the signature is the command line, the body one call into the library."""
