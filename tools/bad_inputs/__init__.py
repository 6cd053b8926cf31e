"""Bad inputs, made by the thousand, against the code that reads them: `.venv/bin/python -m tools.bad_inputs`."""
