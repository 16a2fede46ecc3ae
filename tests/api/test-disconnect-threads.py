"""test-disconnect.py with three HTTP loops."""
import os
import runpy

os.environ["DISCONNECT_THREADS"] = "3"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-disconnect.py"), run_name="__main__")
