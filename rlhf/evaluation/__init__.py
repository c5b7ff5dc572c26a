"""How good is it? Accuracy, calibration, win rate, best-of-n as pure numbers, and the report of them."""
