"""tests/parity/onnx_checker.py: onnx.checker over every graph in a folder."""
import glob
import sys

import onnx

files = sorted(glob.glob(sys.argv[1] + "/*.onnx"))
for file in files:
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8 and [o.version for o in model.opset_import] == [17], file
print(f"onnx: {len(files)} graphs accepted by onnx.checker {onnx.__version__}")
sys.exit(0 if files else 1)
