"""The protocol: frames, parameters, messages. Pure encoding and decoding, no I/O."""
