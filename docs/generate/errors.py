"""The tree of errors with their exit codes, and what to do about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from docs.generate.describe import summary, table
from edge_config import errors, fleet_errors
from edge_config.errors import PatchedgeError

REMEDIES: Mapping[type[PatchedgeError], str] = {
    errors.UsageError: "Correct the argument that the line names; `VERB --help` shows what is allowed.",
    errors.NoImages: "Name the folder that has the pictures, or a video. `patchedge record` makes such a folder.",
    errors.UnreadableImage: "Remove or replace the picture, or give `--skip-bad`.",
    errors.PictureChanged: "Learn again when nobody writes there, or make the manifest again.",
    errors.TooFewImages: "Take more normal pictures: some hundreds are usual.",
    errors.BlindThreshold: "Look for faults among the new pictures. `--force` takes the threshold anyway.",
    errors.UnsafeLearning: "Leave out the pictures that show a fault. `--force` writes the bundle anyway.",
    errors.TargetExists: "Choose another name, or give `--force`.",
    errors.NotWritten: "Free disk space, set the permissions, or choose another folder. Nothing half-written is left.",
    errors.MissingExtra: "Run the `pip install` line that the error shows.",
    errors.BundleError: "Copy the bundle again, or make it again.",
    errors.BundleMissing: "Correct the path, unpack a packed bundle, or make one with `patchedge learn`.",
    errors.BundleManifestInvalid: "Copy the bundle again, or make it again.",
    errors.BundleVersionUnknown: "Learn again with this version, or use the one that the bundle was made with.",
    errors.BundleFileMissing: "Copy the bundle again, with all of its files.",
    errors.BundleFileUnexpected: "Remove the file that the error names.",
    errors.BundleFileSize: "Copy the bundle again.",
    errors.BundleFileHash: "Copy the bundle again.",
    errors.BundleShapeMismatch: "Make the bundle again: its files are from different bundles, or were edited.",
    errors.BundleIndexInvalid: "Make the bundle again, or run with `--rebuild-index`.",
    errors.BundleGraphInvalid: "Update ONNX Runtime, or make the bundle again.",
    errors.BundleParity: "Use the package versions that the error names, or fit on this kind of machine.",
    errors.BundleUnsigned: "Sign it with `patchedge-export sign`, or set `trust.unsigned: allow`.",
    errors.BundleSignatureInvalid: "Copy the bundle again, or sign it again.",
    errors.BundleKeyUnknown: "Sign it with a trusted key, or name its key in `trust.keys`.",
    errors.BundleNoChild: "Learn again from the bundle of the settings; `patchedge rollback` serves that one.",
    errors.BundlePackInvalid: "Copy the file again, or make it again with `patchedge bundle pack`.",
    errors.BundlePackTruncated: "Copy the file again.",
    errors.BundlePackTrailing: "Copy the file again.",
    errors.BundlePackSpecial: "Pack with `patchedge bundle pack`, not with tar. Distrust the source of the file.",
    errors.BundlePackPath: "Pack with `patchedge bundle pack`, not with tar. Distrust the source of the file.",
    errors.BundlePackDuplicate: "Pack with `patchedge bundle pack`, not with tar. Distrust the source of the file.",
    errors.BundlePackTooLarge: "Distrust the source of the file: no bundle is that large.",
    errors.ParityRefused: "Report it with the line and your network: the export differs from the training.",
    errors.UnavailableError: "Start, connect or install what the line names.",
    errors.SourceUnavailable: "Run `patchedge probe SOURCE`: it says why the source does not open.",
    errors.LoginRefused: "Correct user and password in the URL.",
    errors.SourceLost: "Check cable, power and network of the camera.",
    errors.NothingScored: "Open the recording in a player: it is empty, or in a format that OpenCV cannot decode.",
    errors.AddressUnavailable: "Stop the program that uses the address, or set another one.",
    errors.JournalUnavailable: "Stop the other runtime, or set another `journal.path`.",
    errors.ProviderUnavailable: "Run `patchedge doctor`: it lists the providers that are installed.",
    errors.NotEnoughMemory: "Free memory, raise the limit that the line names, or lower `--size` or `--coreset`.",
    errors.WeightsUnavailable: "Connect to the internet, or give the weights with `--weights FILE`.",
    fleet_errors.FleetUnavailable: "Check servers and network. `patchedge fleet init` makes the store.",
    fleet_errors.FleetError: "Do what the line says; nothing of it was put into service.",
    fleet_errors.FleetAccessDenied: "Correct the permissions of these credentials at the NATS servers.",
    fleet_errors.FleetConflict: "Look at what is there now, and try again.",
    fleet_errors.RolloutOvertaken: "`patchedge fleet status` shows who changed it; `patchedge fleet resume` goes on.",
    fleet_errors.RolloutStopped: "Look at the device that the line names; `patchedge fleet rollback` takes all back.",
    fleet_errors.AssignmentInvalid: "Assign again. Distrust whoever can write to the servers.",
    fleet_errors.AssignmentKeyUnknown: "Sign with an operator's key, or add the key to `fleet.operators`.",
    fleet_errors.AssignmentSignatureInvalid: "Assign again. Distrust whoever can write to the servers.",
    fleet_errors.AssignmentForOthers: "Distrust whoever can write to the servers: an assignment was moved.",
    fleet_errors.AssignmentOld: "Assign again; distrust whoever can write to the servers, if nobody restored a backup.",
    fleet_errors.AssignmentFlood: "Find out who assigns so often. The device takes the newest after a minute.",
    fleet_errors.CounterRaised: "Replace it: `fleet init --counter N`. Distrust whoever can write to the servers.",
    fleet_errors.RolloutForged: "Assign anew. If another operator signed it, name their key in your `operators`.",
    fleet_errors.PackMissing: "Push the bundle again with `patchedge fleet push`.",
    fleet_errors.PackSwapped: "Push the bundle again. Distrust whoever can write to the servers.",
    fleet_errors.PackTooLarge: "Raise `fleet.max_mb` if the bundle is that large, else distrust the servers.",
    errors.SettingsError: "Correct the key: each line names file, line, key and what is allowed.",
    errors.KeysInvalid: "Make keys with `patchedge keygen`, and `chmod 600` the secret one.",
    errors.MessageError: "Check that the address is one of patchedge, and that both sides have the same version.",
    errors.RequestError: "Correct the request as the line says; `patchedge schema` prints what is allowed.",
}


def tree() -> str:
    """Return the tree of classes with their exit codes, as text."""
    lines = [f"{PatchedgeError.__name__:<34}{PatchedgeError.exit_code}", *_branches(PatchedgeError, "")]
    return "\n".join(["```text", *lines, "```"])


def _branches(parent: type[PatchedgeError], indent: str) -> Iterator[str]:
    kinds = parent.__subclasses__()
    for kind in kinds:
        last = kind is kinds[-1]
        line = f"{indent}{'└── ' if last else '├── '}{kind.__name__}"
        yield f"{line:<34}{kind.exit_code}" if kind.exit_code != parent.exit_code or parent is PatchedgeError else line
        yield from _branches(kind, indent + ("    " if last else "│   "))


def descendants(parent: type[PatchedgeError]) -> list[type[PatchedgeError]]:
    """Return a class and all below it, in the order of the tree."""
    return [parent, *(one for kind in parent.__subclasses__() for one in descendants(kind))]


def branch(name: str) -> str:
    """Return a table of an error and those below it."""
    rows = [
        (f"`{kind.__name__}`", summary(kind), REMEDIES[kind])
        for kind in descendants(getattr(errors, name, None) or getattr(fleet_errors, name))
    ]
    return table(("Error", "Meaning", "What to do"), rows)


FILLERS: dict[str, Callable[..., str]] = {"error_tree": tree, "errors": branch}
