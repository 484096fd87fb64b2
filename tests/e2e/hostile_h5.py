"""tests/e2e/hostile_h5.py FOLDER: Keras files as they should not be, and sound ones of other layers than the published models.

Writes bad_NAME.h5 / bad_NAME.keras, each with bad_NAME.words: what the error must say; and good_NAME.h5 / .keras.
"""
import io
import json
import os
import sys
import zipfile

import h5py
import numpy as np

folder = sys.argv[1]
rng = np.random.default_rng(7)


def layer(cls, name, inbound, **config):
    return {"class_name": cls, "name": name, "config": {"name": name, **config},
            "inbound_nodes": [[[i, 0, 0, {}] for i in inbound]] if inbound else []}


def functional(layers, output):
    return {"class_name": "Functional", "config": {"name": "m", "layers": layers, "output_layers": [[output, 0, 0]]}}


def dense_model():
    return functional([layer("InputLayer", "hlf_input", [], batch_input_shape=[None, 14]),
                       layer("Dense", "dense", ["hlf_input"], units=3, activation="softmax", use_bias=True)], "dense")


def write(f, config, weights):
    """As Keras 2 does: an attribute with the configuration, a group for each layer."""
    f.attrs["model_config"] = json.dumps(config)
    group = f.create_group("model_weights")
    for name, arrays in weights.items():
        g = group.create_group(name)
        g.attrs["weight_names"] = [f"{name}/{w}:0".encode() for w, _ in arrays]
        for w, a in arrays:
            if a is not None:
                g.create_dataset(f"{name}/{w}:0", data=np.asarray(a, "f4"))
    return group


KERNEL, BIAS = rng.normal(size=(14, 3)), np.zeros(3)


def bad(name, words, ending="h5"):
    path = f"{folder}/bad_{name}"
    with open(path + ".words", "w") as f:
        f.write(words + "\n")
    return f"{path}.{ending}"


def dense_but(name, words, make):
    """A sound file whose kernel is made by make(group)."""
    with h5py.File(bad(name, words), "w") as f:
        g = write(f, dense_model(), {"dense": [("kernel", None), ("bias", BIAS)]})["dense"]
        make(g.require_group("dense"))


with open(folder + "/secret", "wb") as f:
    f.write(b"root:x:0:0:" * 100)

dense_but("external_storage", "external storage",
          lambda g: g.create_dataset("kernel:0", (14, 3), "f4", external=[(folder + "/secret", 0, 168)]))
dense_but("external_passwd", "external storage",
          lambda g: g.create_dataset("kernel:0", (14, 3), "f4", external=[("/etc/passwd", 0, 168)]))
dense_but("soft_link", "soft or external link", lambda g: g.__setitem__("kernel:0", h5py.SoftLink("/model_weights/dense/dense/bias:0")))
dense_but("external_link", "soft or external link",
          lambda g: g.__setitem__("kernel:0", h5py.ExternalLink("/etc/passwd", "/x")))
dense_but("shape_bomb", "absurd shape",
          lambda g: g.create_dataset("kernel:0", (1 << 30, 1 << 20), "f4", chunks=(1 << 10, 1 << 10)))
dense_but("rank_bomb", "absurd shape", lambda g: g.create_dataset("kernel:0", (1,) * 30, "f4"))
dense_but("other_shape", "kernel has 2 axes", lambda g: g.create_dataset("kernel:0", data=np.zeros((3, 14), "f4")))
dense_but("text_weights", "not a dataset of numbers", lambda g: g.create_dataset("kernel:0", data=np.array([b"x"] * 3)))
dense_but("group_weights", "not a dataset", lambda g: g.create_group("kernel:0"))
dense_but("nan", "not finite", lambda g: g.create_dataset("kernel:0", data=np.full((14, 3), np.nan, "f4")))
dense_but("missing", "weight 'dense/kernel:0' is missing", lambda g: None)
dense_but("szip", "filter", lambda g: g.create_dataset("kernel:0", data=KERNEL.astype("i4"), chunks=(14, 3), scaleoffset=2))


def virtual(g):
    layout = h5py.VirtualLayout(shape=(14, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(14, 3))
    g.create_virtual_dataset("kernel:0", layout)


dense_but("virtual", "virtual layout", virtual)


def deflate_bomb(g):
    """A chunk that says 16 MB, and inflates to 4 GB: one compressed piece of zeros again and again."""
    import zlib
    d = g.create_dataset("kernel:0", (14, 3), "f4", chunks=(2048, 2048), maxshape=(None, None), compression="gzip")
    c = zlib.compressobj(9)
    head = c.compress(b"") + c.flush(zlib.Z_FULL_FLUSH)
    piece = c.compress(bytes(1 << 24)) + c.flush(zlib.Z_FULL_FLUSH)
    d.id.write_direct_chunk((0, 0), head + piece * 256)


dense_but("deflate_bomb", "cannot be read", deflate_bomb)


def config_only(name, words, config):
    with h5py.File(bad(name, words), "w") as f:
        write(f, config, {"dense": [("kernel", KERNEL), ("bias", BIAS)]})


m = dense_model()
m["config"]["layers"].insert(1, layer("Lambda", "evil", ["hlf_input"], function=["4wEAAAAAAAAA", None, None], function_type="lambda"))
config_only("lambda", "layer 'evil' (Lambda) is of a class that is not supported", m)
config_only("not_json", "JSON", "x")
with h5py.File(bad("json", "JSON: line 1"), "w") as f:
    write(f, dense_model(), {})
    f.attrs["model_config"] = "{\"class_name\": "
with h5py.File(bad("no_config", "no model_config"), "w") as f:
    f.create_group("model_weights")
with h5py.File(bad("number_config", "not a text"), "w") as f:
    f.attrs["model_config"] = 7
with h5py.File(bad("deep", "nested deeper"), "w") as f:
    f.attrs["model_config"] = "[" * 1000 + "]" * 1000
os.remove(f"{folder}/bad_not_json.h5")
os.remove(f"{folder}/bad_not_json.words")

# ---- truncated and bit-flipped copies of a sound one ------------------------------------------------------------------
whole = io.BytesIO()
with h5py.File(whole, "w") as f:
    write(f, dense_model(), {"dense": [("kernel", KERNEL), ("bias", BIAS)]})
whole = whole.getvalue()
open(f"{folder}/good_dense.h5", "wb").write(whole)
for n in (9, 100, len(whole) // 2, len(whole) - 1):
    open(bad(f"cut_{n}", ""), "wb").write(whole[:n])
for i in range(12):
    flipped = bytearray(whole)
    for _ in range(1 + i % 3):
        flipped[int(rng.integers(len(flipped) if i % 2 else 2048))] ^= 1 << int(rng.integers(8))
    open(f"{folder}/flip_{i}.h5", "wb").write(flipped)


# ---- .keras -------------------------------------------------------------------------------------------------------------
def keras(path, config, weights, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as z:
        z.writestr("metadata.json", "{}")
        if config is not None:
            z.writestr("config.json", config)
        if weights is not None:
            z.writestr("model.weights.h5", weights)


def tensor(name):
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 14], "keras_history": [name, 0, 0]}}


def keras3(layers, output):
    return json.dumps({"module": "keras", "class_name": "Functional",
                       "config": {"layers": layers, "input_layers": [], "output_layers": [output, 0, 0]}})


def layer3(cls, name, inbound, kwargs=None, **config):
    return {"class_name": cls, "name": name, "config": {"name": name, **config},
            "inbound_nodes": [{"args": inbound, "kwargs": kwargs or {}}] if inbound else []}


def weights3(arrays):
    b = io.BytesIO()
    with h5py.File(b, "w") as f:
        for path, a in arrays.items():
            f.create_dataset(path, data=np.asarray(a, "f4"))
    return b.getvalue()


good3 = keras3([layer3("InputLayer", "hlf", [], batch_shape=[None, 14]),
                layer3("Dense", "dense", [tensor("hlf")], units=3, activation="softmax")], "dense")
w3 = weights3({"layers/dense/vars/0": KERNEL, "layers/dense/vars/1": BIAS})
keras(f"{folder}/good_stored.keras", good3, w3)
keras(f"{folder}/good_deflated.keras", good3, w3, zipfile.ZIP_DEFLATED)
keras(bad("no_config_member", "there is no config.json", "keras"), None, w3)
keras(bad("no_weights", "there is no model.weights.h5", "keras"), good3, None)
keras(bad("method", "method 12", "keras"), good3, w3, zipfile.ZIP_BZIP2)
keras(bad("weights_text", "HDF5", "keras"), good3, b"not HDF5")
keras(bad("zip_bomb", "at most", "keras"), b" " * (64 << 20), w3, zipfile.ZIP_DEFLATED)
keras(bad("lambda3", "'evil' (Lambda)", "keras"),
      keras3([layer3("InputLayer", "hlf", [], batch_shape=[None, 14]),
              layer3("Lambda", "evil", [tensor("hlf")], function={"class_name": "__lambda__", "config": {"code": "4wEA"}}),
              layer3("Dense", "dense", [tensor("evil")], units=3, activation="softmax")], "dense"), w3)
keras(bad("registered", "is of a class", "keras"),
      keras3([layer3("InputLayer", "hlf", [], batch_shape=[None, 14]),
              layer3("os>system", "x", [tensor("hlf")], command="touch /tmp/owned"),
              layer3("Dense", "dense", [tensor("x")], units=3, activation="softmax")], "dense"), w3)

# ---- sound ones: transformer and LSTM, with padding masked or flattened -------------------------------------------------------
F, H, K = 19, 8, 19
mha = {"query": (F, H, K), "key": (F, H, K), "value": (F, H, K)}


def attention_arrays():
    out = []
    for part in mha:
        out += [(f"{part}/kernel", rng.normal(size=(F, H, K)) / 5), (f"{part}/bias", rng.normal(size=(H, K)) / 5)]
    return out + [("attention_output/kernel", rng.normal(size=(H, K, F)) / 5), ("attention_output/bias", np.zeros(F))]


layers = [layer("InputLayer", "rows", [], batch_input_shape=[None, 801, 19]),
          layer("InputLayer", "hlf_input", [], batch_input_shape=[None, 14]),
          {**layer("MultiHeadAttention", "mha", ["rows"], num_heads=H, key_dim=K, value_dim=K, use_bias=True,
                   output_shape=None, attention_axes=[1], dropout=0.0),
           "inbound_nodes": [[["rows", 0, 0, {"value": ["rows", 0, 0]}]]]},
          layer("LayerNormalization", "norm", ["mha"], axis=[2], epsilon=1e-6, center=True, scale=True),
          layer("Dropout", "drop", ["norm"], rate=0.2),
          layer("Dense", "each", ["drop"], units=20, activation="relu"),
          layer("Flatten", "flat", ["each"]),
          layer("Dense", "narrow", ["flat"], units=10, activation="relu"),
          layer("Concatenate", "join", ["narrow", "hlf_input"], axis=-1),
          layer("Dense", "out", ["join"], units=3, activation="softmax")]
with h5py.File(f"{folder}/good_transformer.h5", "w") as f:
    write(f, functional(layers, "out"), {
        "mha": attention_arrays(), "norm": [("gamma", np.ones(F)), ("beta", np.zeros(F))],
        "each": [("kernel", rng.normal(size=(F, 20)) / 4), ("bias", np.zeros(20))],
        "narrow": [("kernel", rng.normal(size=(801 * 20, 10)) / 100), ("bias", np.zeros(10))],
        "out": [("kernel", rng.normal(size=(24, 3))), ("bias", np.zeros(3))]})
layers = [layer3("InputLayer", "rows", [], batch_shape=[None, None, 19]),
          layer3("LSTM", "lstm", [tensor("rows")], units=5, activation="tanh", recurrent_activation="sigmoid"),
          layer3("Dense", "dense", [tensor("lstm")], units=4, activation="linear", use_bias=False),
          layer3("ReLU", "relu", [tensor("dense")]),
          layer3("Dense", "dense_7", [tensor("relu")], units=3, activation="linear"),
          layer3("Activation", "soft", [tensor("dense_7")], activation="softmax")]
keras(f"{folder}/good_lstm.keras", keras3(layers, "soft"), weights3({
    "layers/lstm/cell/vars/0": rng.normal(size=(F, 20)), "layers/lstm/cell/vars/1": rng.normal(size=(5, 20)),
    "layers/lstm/cell/vars/2": np.zeros(20), "layers/dense/vars/0": rng.normal(size=(5, 4)),
    "layers/dense_1/vars/0": rng.normal(size=(4, 3)), "layers/dense_1/vars/1": np.zeros(3)}))
