"""What is in a file of frames, result lists or parameters: checked, counted, and shown in part."""
