"""`save` and `load`: a model in one file, what it is made of and its values.

The file is safetensors: values by their names in `state_dict`, and in the header, as JSON, how to build the modules:

    {"version": 1, "model": PART, "parameters": {NAME: whether it is trained}, "meanings": {NAME: MEANING}}
    PART = {"kind": KIND, "eval": true, "options": {...}, "parts": {NAME: PART}}    the last three where there are any

MEANING is what a layer's values are of, as `state_dict` says it (`lambent.layers.layer`); of values without a model
it is all that there is.

Kinds are looked up in the lists here, so that a file can make nothing else, and runs no code of its own.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from lambent import encode
from lambent.connections import CONNECTIONS
from lambent.connections.connections import Connections
from lambent.layers import LIF, AdaptiveLIF, Channel, EventDropout, LIReadout, Resonator, Spiking
from lambent.layers.layer import MEANING
from lambent.machine.files import open_file, replacing
from lambent.neurons import NEURONS
from lambent.neurons.neuron import Neuron

_VERSION = 1
# what `Spiking` makes of a neuron and connections; the constructors of short forms add nothing to it but drawn weights
_SPIKING: tuple[type[Spiking], ...] = (Spiking, LIF, AdaptiveLIF, Resonator)
# modules whose options are attributes of the same names; those of torch have no values that are not in state_dict
_PLAIN: tuple[type[nn.Module], ...] = (
    LIReadout, EventDropout, Channel,
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm,
    nn.Dropout, nn.Flatten, nn.Unflatten, nn.Identity, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Softplus, nn.Softmax,
    nn.LogSoftmax,
)  # fmt: skip

Part = dict[str, Any]


def save(model: nn.Module | Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write a model, or the values alone of any model's `state_dict()`, as one safetensors file, whole or not at all.

    `load` builds the same model from it: the same values bit for bit, of the same type, and the same of them trained.
    Options of the state of training, such as hooks and gradients, are not kept.

    Args:
        model: a `torch.nn.Sequential`, also of others, of lambent's layers, `lambent.encode.Encoder` and torch's common
            modules, or one of these; or a state_dict.
        path: the file, by custom NAME.safetensors.

    Raises:
        TypeError: a module, neuron or connections that `load` would not know how to build.
        ValueError: modules that share a parameter, which `load` would not know.
        OSError: the file cannot be written.

    >>> model = torch.nn.Sequential(lb.LIF(3, 4), lb.LIReadout(4, 2))
    >>> lb.save(model, "model.safetensors")
    >>> lb.load("model.safetensors")
    Sequential(
      (0): LIF(3, 4, reset='zero', dt=1.0)
      (1): LIReadout(4, 2, reduce='exp_mean', dt=1.0)
    )
    """
    from safetensors.torch import save as as_bytes

    metadata = None
    if isinstance(model, nn.Module):
        _check_own(model)
        described = {
            "version": _VERSION,
            "model": _describe(model, ""),
            "parameters": {name: p.requires_grad for name, p in model.named_parameters(remove_duplicate=False)},
        }
        model = model.state_dict()
        metadata = {"lambent": json.dumps(described | {"meanings": _meanings(model)})}
    elif meanings := _meanings(model):
        metadata = {"meanings": json.dumps(meanings)}  # one entry each, as safetensors writes several in any order
    if not isinstance(model, Mapping) or not all(isinstance(x, Tensor) for x in model.values()):
        raise TypeError(f"save takes a model or its state_dict(), got {type(model).__name__}")
    # a copy each: those that share memory, and others not in a row, have no place in the file
    values = {name: x.detach().cpu().contiguous().clone() for name, x in model.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(as_bytes(values, metadata))


def load(
    path: str | os.PathLike[str],
    into: nn.Module | None = None,
    kinds: Sequence[type[Neuron] | type[Connections]] = (),
) -> nn.Module:
    """The model that `save` wrote, on the CPU; or `into`, with the values of the file.

    Args:
        path: the file.
        into: a model of the same modules, which takes the values as its `load_state_dict` does, whatever else the
            file holds. For modules of your own.
        kinds: neurons and connections of your own that the model has.

    Raises:
        OSError: the file cannot be read.
        TypeError: `into` is no model, or `kinds` are no classes of neurons or connections.
        ValueError: it is damaged, holds no model, is of a later version, or something `kinds` lacks; or its values are
            not those of `into`. Names the file.
    """
    from safetensors import SafetensorError, safe_open

    if not (into is None or isinstance(into, nn.Module)):
        raise TypeError(f"into must be a model, got {type(into).__name__}")
    if not all(isinstance(kind, type) and issubclass(kind, (Neuron, Connections)) for kind in kinds):
        raise TypeError(f"kinds must be classes of neurons and connections, got {kinds!r}")
    path = os.fspath(path)
    with open_file(path):
        pass  # in Python's words, if it cannot be read
    try:
        with safe_open(path, framework="pt") as file:
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path!s}: damaged, or no safetensors file: {error}") from error
    try:
        if into is None:
            return _built(metadata.get("lambent"), values, kinds)
        return _filled(into, _with_meanings(values, metadata))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path!s}: {error}") from error


def _filled(model: nn.Module, values: Mapping[str, Tensor], assign: bool = False) -> nn.Module:
    try:
        model.load_state_dict(values, assign=assign)
    except RuntimeError as error:
        raise ValueError(f"holds other values than the model: {error}") from error
    return model


def _meanings(state: Any) -> dict[str, Any]:
    """What the values of each layer are of, from a `state_dict`; see `Layer`."""
    return {name: own[MEANING] for name, own in getattr(state, "_metadata", {}).items() if MEANING in own}


def _with_meanings(values: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Mapping[str, Tensor]:
    """`values` as a `state_dict` that says what they are of."""
    try:
        if "meanings" in metadata:
            meanings = json.loads(metadata["meanings"])
        else:
            meanings = json.loads(metadata.get("lambent", "{}")).get("meanings", {})
        if not all(isinstance(own, dict) for own in meanings.values()):
            raise TypeError("is no mapping")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"damaged: what its values are of: {error!r}") from error
    state: Any = OrderedDict(values)
    state._metadata = {name: {MEANING: own} for name, own in meanings.items()}
    return cast("Mapping[str, Tensor]", state)


# -- writing ----------------------------------------------------------------------------------------------------------


def _check_own(model: nn.Module) -> None:
    """Raise ValueError where modules share a parameter; a module that comes twice shares all."""
    seen: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in seen:
            raise ValueError(
                f"{name} is {seen[id(parameter)]}: a file has no word for parameters that modules share; save the "
                "weights with lb.save(model.state_dict(), path) and load them with lb.load(path, into=model)"
            )
        seen[id(parameter)] = name


def _describe(module: Any, name: str) -> Part:
    where = name or "the model"
    part: Part = {"kind": type(module).__name__}
    if not module.training:
        part["eval"] = True
    if type(module) is nn.Sequential:
        parts = {key: _describe(child, f"{name}.{key}" if name else key) for key, child in module._modules.items()}
        return part | {"parts": parts}
    if type(module) in _SPIKING:
        options = _options_of_layer(where, module)
    elif type(module) in _PLAIN:
        options = _options(module)
    elif type(module) is encode.Encoder and module.function in _encoders().values():
        options = {"function": module.function.__name__, **module.options}
    else:
        kind = type(module).__name__ if type(module) is not encode.Encoder else repr(module)
        raise TypeError(
            f"{where}: a file has no word for {kind}; save the weights with lb.save(model.state_dict(), path) and load "
            "them with lb.load(path, into=model), the model that you build as before"
        )
    return part | {"options": _checked(where, options)}


def _options(module: nn.Module) -> dict[str, Any]:
    """The arguments of a module's constructor, but for values, which are in its state."""
    arguments = inspect.signature(type(module)).parameters.values()
    names = [x.name for x in arguments if x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)]
    names = [n for n in names if n not in ("device", "dtype")]
    found = {n: getattr(module, n) for n in names if n != "bias"}
    if "bias" in names:
        found["bias"] = module.bias is not None
    return {n: x for n, x in found.items() if not isinstance(x, Tensor)}


def _options_of_layer(where: str, layer: Spiking) -> dict[str, Any]:
    parts: dict[str, Any] = {"neuron": layer._neuron, "connections": layer._connections, "recurrent": layer._recurrent}
    described = {key: None if x is None else _dataclass(f"{where}, {key}", x) for key, x in parts.items()}
    carried = {"payload_bits": layer.payload_bits, "payload_range": layer.payload_range} if layer.payload_bits else {}
    return described | {"dt": layer.dt, "max_delay": layer.max_delay} | carried


def _dataclass(where: str, x: Neuron | Connections) -> Part:
    """A neuron's or connections' fields, but for their values."""
    values = {*x.parameters, *getattr(x, "buffers", ())}
    options = {f.name: getattr(x, f.name) for f in dataclasses.fields(x) if f.init and f.name not in values}
    return {"kind": type(x).__name__, "options": _checked(where, options)}


def _checked(where: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options, if JSON gives them back as they are."""
    for name, value in options.items():
        try:
            kept = _tuples(json.loads(json.dumps(value)))
        except (TypeError, ValueError):
            kept = ...
        if kept != _tuples(value):
            raise TypeError(f"{where}: a file has no word for {name}={value!r}")
    return options


def _tuples(x: Any) -> Any:
    """Lists as tuples, which constructors and comparisons take for both."""
    if isinstance(x, (list, tuple)):
        return tuple(_tuples(y) for y in x)
    return {key: _tuples(y) for key, y in x.items()} if isinstance(x, dict) else x


# -- reading ----------------------------------------------------------------------------------------------------------


def _built(text: str | None, values: Mapping[str, Tensor], kinds: Sequence[type]) -> nn.Module:
    if text is None:
        raise ValueError("holds values and no model; lb.load(path, into=model) puts them into one that you build")
    try:
        described = json.loads(text)
        if (version := described["version"]) == _VERSION:
            part, parameters = described["model"], described["parameters"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"damaged: the description of the model: {error!r}") from error
    if version != _VERSION:
        raise ValueError(f"is of version {version!r}, and this lambent reads {_VERSION}; take a newer one")
    known = {kind.__name__: kind for kind in (*NEURONS, *CONNECTIONS, *kinds)}
    with torch.random.fork_rng(devices=[]):  # constructors draw weights
        model = _filled(_part(part, "", values, known), values, assign=True)
    made = model.state_dict(keep_vars=True)
    if not isinstance(parameters, dict) or not all(n in made and made[n].is_floating_point() for n in parameters):
        raise ValueError("damaged: the description of the model: what it calls parameters are none")
    for name in parameters:
        made[name].requires_grad_()
    list(model.parameters())  # so that layers take for parameters what they would else keep fixed
    for name, value in made.items():
        value.requires_grad_(parameters.get(name) is True)
    return model


def _part(part: Any, prefix: str, values: Mapping[str, Tensor], known: Mapping[str, type]) -> nn.Module:
    """The module of one part; its values are yet to come."""
    where = prefix.removesuffix(".") or "the model"
    try:
        kind, options = part["kind"], _tuples(part.get("options", {}))
        if kind == "Sequential":
            module: nn.Module = nn.Sequential()
            for name, child in part["parts"].items():
                module.add_module(name, _part(child, f"{prefix}{name}.", values, known))
        elif kind in {cls.__name__ for cls in _SPIKING}:
            module = _layer(kind, options, prefix, values, known)
        elif kind == "Encoder":
            options = dict(options)
            module = encode.Encoder(_encoders()[options.pop("function")], **options)
        else:
            module = _plain(kind, options, prefix, values)
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith("part ") else f"part {where}: {error}") from error
    except (TypeError, KeyError, AttributeError, IndexError, RuntimeError, OverflowError, RecursionError) as error:
        raise ValueError(f"part {where}: damaged: {error!r}") from error
    module.training = not part.get("eval", False)  # its own; train() would be that of all within
    return module


def _plain(kind: str, options: dict[str, Any], prefix: str, values: Mapping[str, Tensor]) -> nn.Module:
    classes = {cls.__name__: cls for cls in _PLAIN}
    if kind not in classes:
        raise ValueError(f"{kind!r} is no module that this lambent knows")
    if kind == "LIReadout":
        _check_weight(prefix, values, (options["in_features"], options["out_features"]))
        return LIReadout(**options)
    with torch.device("meta"):  # values come from the file; until then they take no room
        return classes[kind](**options)


def _layer(
    kind: str, options: dict[str, Any], prefix: str, values: Mapping[str, Tensor], known: Mapping[str, type]
) -> Spiking:
    connections = _connections(options["connections"], prefix, values, known)
    own = options["recurrent"]
    recurrent = None if own is None else _connections(own, f"{prefix}recurrent_", values, known)
    described = options["neuron"]
    cls = _kind(described["kind"], known, Neuron)
    names = cls.parameters_of(described["options"])
    there = {n: values[f"{prefix}{n}"] for n in names if f"{prefix}{n}" in values}
    neuron = cls(**described["options"], **there)
    made = next(cls for cls in _SPIKING if cls.__name__ == kind)
    layer = made.__new__(made)
    carried = {key: options[key] for key in ("payload_bits", "payload_range") if key in options}
    Spiking.__init__(layer, neuron, connections, recurrent, dt=options["dt"], max_delay=options["max_delay"], **carried)
    return layer


def _connections(part: Part, prefix: str, values: Mapping[str, Tensor], known: Mapping[str, type]) -> Connections:
    cls = _kind(part["kind"], known, Connections)
    there = {n: values[prefix + n] for n in (*cls.parameters, *cls.buffers) if prefix + n in values}
    if "weight" in cls.parameters and "weight" not in there:
        raise ValueError(f"damaged: the file holds no {prefix}weight")  # the constructor would draw one of any size
    blank = {n: torch.zeros_like(x) if n in cls.parameters else x for n, x in there.items()}
    return cls(**part["options"], **blank)


def _kind(name: str, known: Mapping[str, type], base: type) -> Any:
    cls = known.get(name)
    if cls is None:
        raise ValueError(f"has {name}, which this lambent does not know; if it is yours: lb.load(path, kinds=[{name}])")
    if not issubclass(cls, base):
        raise ValueError(f"damaged: {name} are no {base.__name__.lower()}")
    return cls


def _check_weight(prefix: str, values: Mapping[str, Tensor], shape: tuple[int, ...]) -> None:
    weight = values.get(f"{prefix}weight")
    if weight is None or weight.shape != shape:
        found = None if weight is None else tuple(weight.shape)
        raise ValueError(f"damaged: weight must have shape {shape}, got {found}")


def _encoders() -> dict[str, Any]:
    return {name: getattr(encode, name) for name in encode.__all__ if inspect.isfunction(getattr(encode, name))}
