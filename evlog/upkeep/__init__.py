"""What is done to a log as a whole: checked, copied, brought back, made whole."""
