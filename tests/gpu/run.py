"""Run the device tests with or without pytest: python tests/gpu/run.py

Exit status 0 when all pass, 1 when one fails, 2 when there is no GPU to run them on (which says why).
"""

import importlib
import sys
import time
import traceback
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.gpu.offline import prepare

    prepare()
    from ufmflow.numerics.devices import open_device
    from ufmflow.theory.errors import InputError

    try:
        cupy = open_device("cuda").xp
    except InputError as error:
        print(error)
        sys.exit(2)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, CuPy {cupy.__version__}, CUDA {cupy.cuda.runtime.runtimeGetVersion()}")
    failed = passed = 0
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.gpu.{path.stem}")
        for test in [getattr(module, n) for n in dir(module) if n.startswith("test_")]:
            begin = time.perf_counter()
            try:
                test()
                passed += 1
                print(f"passed {path.stem}.{test.__name__} ({time.perf_counter() - begin:.2f} s)")
            except Exception:
                failed += 1
                print(f"FAILED {path.stem}.{test.__name__}")
                traceback.print_exc()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
