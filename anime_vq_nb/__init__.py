__version__ = "0.1.0"

import os

if os.environ.get('IN_TEST'): # nbdev_test runs a notebook on each core; with more threads than cores they wait for each other
    import torch

    torch.set_num_threads(1)
