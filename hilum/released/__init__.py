"""Encoders that others released: whose file it is, its tensors under our names, and the pixels it was trained on.

One layout a file; `layouts.LAYOUTS` lists them. A layout recognises a source, takes or drops every tensor of it with a
reason, and binds the preprocessing record, so that no encoder meets another's pixels.
"""
