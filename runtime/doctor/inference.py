"""Check ONNX Runtime's providers: which exist, start with this bundle and compute what the exporter did."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec

from edge_config.errors import BundleError, PatchedgeError, SettingsError, UnavailableError
from edge_config.settings.device import Settings
from edge_config.settings.providers import AUTO, WantedProviders
from edge_config.settings.sections import CPU, Provider, Trust
from runtime.doctor.finding import Finding
from runtime.inference.providers.choice import ProviderChoice, batches_in_words
from runtime.process.child import BUILDING_S, TIMEOUT_S, CheckResult, ask
from runtime.view import View

_OTHER_PACKAGE = (
    "it needs another package in place of onnxruntime: onnxruntime-gpu, the wheel of NVIDIA for a Jetson, or "
    "onnxruntime-openvino"
)

REGIONS_REMEDY = "leave `regions` and `ignore` out of the camera's settings to use those of the bundle, or fit again"

Try = Callable[[str, "Provider | Literal['auto']"], CheckResult]
"""Loads a bundle on one provider, or on those that were chosen for it, in a process of its own."""


def present(wanted: WantedProviders, there: Sequence[str], version: str) -> Finding:
    """Return the providers that are built in, and which of the wanted ones are not."""
    names = [AUTO] if wanted == AUTO else [provider.name for provider in wanted]
    missing = [name for name in names if name not in (*there, AUTO)]
    says = f"ONNX Runtime {version} has {', '.join(there)}"
    data = {"present": list(there), "wanted": names, "version": version}
    if missing:
        return Finding(
            "providers", "warn", f"{says}; not {', '.join(missing)}, wanted by the settings", _OTHER_PACKAGE, data=data
        )
    return Finding("providers", "ok", says, data=data)


def with_bundle(path: str, settings: Settings, there: Sequence[str], attempt: Try | None = None) -> Iterator[Finding]:
    """Load a bundle on each of the wanted providers that exist."""
    attempt = attempt or partial(_attempt, settings)
    if settings.providers == AUTO:
        yield from _chosen(path, settings, attempt(path, AUTO))
        return
    serves = False
    problems: list[tuple[Provider, CheckResult]] = []
    for provider in settings.providers:
        if provider.name not in there:
            continue
        answer = attempt(path, provider)
        value: dict[str, Any] = answer.value or {}
        if answer.problem or value.get("refused"):
            if answer not in [other for _, other in problems]:  # a bundle in bf16 is refused alike for each
                problems.append((provider, answer))
            continue
        found = value.get("provider", provider.name)
        yield _started(path, Provider(name=found), value, settings)
        if not serves:
            yield from _blind(value)
        serves = True
        if found != provider.name:  # the bundle is in bf16, which only OpenVINO serves, whatever is wanted
            break
    for provider, answer in problems:
        yield _failed(path, provider, answer, serves=serves)
    if not serves and not problems:
        yield Finding(
            "bundle", "fail", f"{path}: no provider of the settings is installed", f"add {CPU.name} to `providers`"
        )


def main() -> None:
    """Load a bundle on a provider, both from the arguments, and print the result as JSON."""
    from runtime.inference.load import load_and_check
    from runtime.process.threads import limit_threads

    path, text, whom, threads, looked = sys.argv[1:6]
    provider = msgspec.json.decode(text, type=Provider | Literal["auto"])
    trust, bound = msgspec.json.decode(whom, type=Trust), limit_threads(int(threads), blas=1)
    providers = (provider,) if isinstance(provider, Provider) else provider
    try:
        bundle, scorer, found = load_and_check(path, bound, trust=trust, providers=providers)
    except PatchedgeError as error:
        refused = {"what": error.what, "where": error.where, "remedy": error.remedy, "exit_code": error.exit_code}
        print(msgspec.json.encode({"refused": refused}).decode())
        return
    from runtime.inference.frame_time import frame_ms
    from runtime.inference.load import golden_images
    from runtime.inference.providers.choice import for_which, read_choice
    from runtime.scoring.regions import find_blind, find_unlearnt

    where = scorer.preprocess, scorer.grid, golden_images(bundle, scorer.grid)[0].shape[:2]
    views = msgspec.json.decode(looked, type=dict[str, View])
    blind = [
        (one.what, one.remedy) for name, view in views.items() for one in find_blind(("cameras", name), view, *where)
    ]
    odd = [find_unlearnt(name, view, bundle.manifest, scorer.preprocess, scorer.grid) for name, view in views.items()]
    figures = {**msgspec.to_builtins(found), "good": found.good, "id": bundle.id, "bank": bundle.manifest.coreset.size}
    choice = msgspec.to_builtins(read_choice(for_which(bundle, bound))[0]) if provider == AUTO else None
    more = {"frame_ms": frame_ms(bundle, scorer), "blind": blind, "odd": odd, "choice": choice}
    print(msgspec.json.encode({**figures, **more}).decode())


def _attempt(settings: Settings, path: str, provider: Provider | Literal["auto"]) -> CheckResult:
    trust = settings.trust
    timeout_s = BUILDING_S if trust.rebuild_index or provider != CPU else TIMEOUT_S
    provider_, trust_ = (msgspec.json.encode(section).decode() for section in (provider, trust))
    views = {name: View.of(one) for name, one in settings.cameras.items() if (one.bundle or settings.bundle) == path}
    looked = msgspec.json.encode(views).decode()
    threads = str(settings.threads or len(settings.affinity))
    return ask(__name__, path, provider_, trust_, threads, looked, timeout_s=timeout_s)


def _chosen(path: str, settings: Settings, answer: CheckResult) -> Iterator[Finding]:
    """Report the bundle on the providers that were chosen for it, and how they came to be."""
    value: dict[str, Any] = answer.value or {}
    if answer.problem or value.get("refused"):
        yield _failed(path, CPU, answer, serves=False)
        return
    yield _started(path, Provider(name=value["provider"]), value, settings)
    if value["choice"] is None:
        yield Finding("provider", "warn", f"{path}: {'; '.join(value['passed_over'])}", "patchedge warm --config FILE")
    else:
        yield explain(path, msgspec.convert(value["choice"], ProviderChoice), value)
    yield from _blind(value)


def explain(path: str, choice: ProviderChoice, value: Mapping[str, Any]) -> Finding:
    """Say which provider was chosen, when, how much faster it is, and why others are passed over.

    Args:
        path: of the bundle.
        choice: of `patchedge warm`.
        value: how it went now: `provider` that computes, `passed_over`.
    """
    chosen = choice.providers[0]
    took = {one.provider: one.frame_ms for one in choice.tried if one.frame_ms is not None}
    cpu = took.get(CPU.name)
    times = ", ".join(f"{name} {ms:.1f} ms" + (f" ({ms / cpu:.2f})" if cpu else "") for name, ms in took.items())
    out = [f"{one.provider}: {one.why}" for one in choice.tried if one.why]
    says = f"{path}: {chosen}, chosen by `patchedge warm` on {choice.decided}; a frame then (and of the CPU's): {times}"
    says += f"; {batches_in_words(choice)}"
    says += f"; passed over: {'; '.join(out)}" if out else ""
    data = {"path": path, **msgspec.to_builtins(choice)}
    if value["provider"] != chosen:
        says += f"; now {value['provider']} computes: {'; '.join(value['passed_over'])}"
        return Finding("provider", "warn", says, "patchedge warm --config FILE", data=data)
    return Finding("provider", "ok", says, data=data)


def _blind(value: dict[str, Any]) -> Iterator[Finding]:
    """Report regions of cameras that contain no patch of this bundle, or one that it never learnt."""
    for what, remedy in value.get("blind", ()):
        yield Finding("regions", "fail", what, remedy, SettingsError.exit_code)
    for line in filter(None, value.get("odd", ())):
        yield Finding("regions", "warn", line, REGIONS_REMEDY)


def _started(path: str, provider: Provider, value: dict[str, Any], settings: Settings) -> Finding:
    took = value["frame_ms"]
    says = (
        f"{path}: starts on {provider.name}, golden scores within {value['scores']:.0e} "
        f"of {value['tolerance']['scores']:.0e}, {took:.1f} ms a frame"
    )
    data = {"path": path, **value}
    if not value["good"]:
        remedy = "`run` uses the next provider instead; or export on this kind of machine"
        return Finding(
            "bundle", "warn" if provider.name != CPU.name else "fail", says, remedy, BundleError.exit_code, data
        )
    if settings.budget_ms is not None and took > settings.budget_ms:
        remedy = "a smaller input or a smaller bank, a faster provider, or fewer cameras"
        return Finding("bundle", "warn", f"{says}, above the budget of {settings.budget_ms:g}", remedy, data=data)
    return Finding(
        "bundle", "ok", f"{says} of {settings.budget_ms:g} allowed" if settings.budget_ms else says, data=data
    )


def _failed(path: str, provider: Provider, answer: CheckResult, *, serves: bool) -> Finding:
    refused = (answer.value or {}).get("refused", {})
    where = refused.get("where") or path
    says = f"{where}: {refused.get('what') or answer.problem} ({provider.name})"
    remedy = refused.get("remedy") or f"install what {provider.name} needs on {platform.machine()}, or leave it out"
    code = refused.get("exit_code", UnavailableError.exit_code)
    return Finding(
        "bundle", "warn" if serves else "fail", says, remedy, code, {"path": path, "provider": provider.name}
    )
