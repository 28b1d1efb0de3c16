"""What one optimizer step costs: problems, contenders, timing, memory, report and figure.

CPU only: DeepXDE moves every tensor to a GPU that it can see, and nothing here waits for one.
"""

import os

# Both are read when torch and deepxde are imported, which every module here may do.
os.environ["DDEBACKEND"] = "pytorch"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the memory profiler announces itself otherwise
