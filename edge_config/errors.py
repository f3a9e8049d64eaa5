"""All errors that a user can cause: one class per cause, one line of text, one exit code.

PatchedgeError                      1   (never raised itself)
├── UsageError                      2   invalid arguments or pictures
│   ├── NoImages                        a folder or video without a picture
│   ├── UnreadableImage                 a truncated picture, or not a picture
│   ├── PictureChanged                  a picture holds other bytes than before, or than its manifest says
│   ├── TooFewImages                    not enough pictures to learn and to calibrate
│   ├── BlindThreshold                  a new threshold that would miss faults that the old one detects
│   ├── UnsafeLearning                  learning on would lose faults that are found now
│   ├── TargetExists                    the file or folder to be written exists already
│   ├── NotWritten                      a file cannot be written: disk full, no permission, no folder
│   └── MissingExtra                    an optional part is not installed
├── BundleError                    65   a bundle that must not be served
│   ├── BundleMissing                   no bundle at this path
│   ├── BundleManifestInvalid           manifest.json does not match the format
│   ├── BundleVersionUnknown            written in another version of the format
│   ├── BundleFileMissing               a listed file is missing
│   ├── BundleFileUnexpected            a file that the manifest does not list
│   ├── BundleFileSize                  the size of a file differs from the manifest
│   ├── BundleFileHash                  the sha256 of a file differs from the manifest
│   ├── BundleShapeMismatch             intact files that do not fit together
│   ├── BundleIndexInvalid              the header of index.hnsw does not match the bank
│   ├── BundleGraphInvalid              ONNX Runtime cannot load model.onnx
│   ├── BundleParity                    scores on this machine differ from the exporter's
│   ├── BundleUnsigned                  no signature, and the settings require one
│   ├── BundleSignatureInvalid          the signature is damaged, or of another manifest
│   ├── BundleKeyUnknown                signed by a key that the settings do not name
│   ├── BundleNoChild                   learnt on a device, but not from the bundle that the settings name
│   └── BundlePackInvalid               a file that is not a packed bundle
│       ├── BundlePackTruncated             it ends too early
│       ├── BundlePackTrailing              bytes after its end
│       ├── BundlePackSpecial               a link, a device, a folder in place of a file
│       ├── BundlePackPath                  a name that leads out of the bundle
│       ├── BundlePackDuplicate             a name that occurs twice
│       └── BundlePackTooLarge              more than any bundle contains
├── ParityRefused                  73   the parity gate: graph or index differ from the training, no bundle was made
├── UnavailableError               69   something outside of the program is missing
│   ├── SourceUnavailable               camera, file or URL does not open
│   │   └── LoginRefused                    a camera that refuses user and password
│   ├── SourceLost                      an open camera stopped delivering pictures
│   ├── NothingScored                   a recording of which no frame could be scored
│   ├── AddressUnavailable              a socket cannot be bound or reached
│   ├── JournalUnavailable              the journal's file is in use by another program
│   ├── ProviderUnavailable             a provider of ONNX Runtime is not installed or does not start
│   ├── NotEnoughMemory                 more memory is needed than there is
│   └── WeightsUnavailable              weights of a network that cannot be downloaded
├── SettingsError                  78   invalid settings
│   └── KeysInvalid                     a key file that is missing, invalid, or readable by others
├── MessageError                    1   bytes from the wire that are not a patchedge message
└── RequestError                    1   a request to a running device that is invalid or refused
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_config.redact import scrub


class PatchedgeError(Exception):
    """Base of all errors that a user can cause.

    Args:
        what: the problem, without a full stop.
        where: the file, key or address with the problem; empty if there is none.
        remedy: how to fix it; empty if that is obvious.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        """Store the three parts, without secrets, and join them into one line."""
        self.what, self.where, self.remedy = what, where, remedy = scrub(what), scrub(where), scrub(remedy)
        line = f"{where}: {what}" if where else what
        line = f"{line}; {remedy}" if remedy else line
        super().__init__(printable(" ".join(line.split())))


def printable(line: str) -> str:
    """Escape control characters of a line: a stranger may have put terminal commands into the name of a file."""
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


class UsageError(PatchedgeError):
    """Invalid arguments or pictures."""

    exit_code = 2


class NoImages(UsageError):
    """A folder or a video contains no picture."""


class UnreadableImage(UsageError):
    """A picture is truncated, damaged or not a picture."""


class PictureChanged(UsageError):
    """A picture holds other bytes than when it was first read, or than its manifest says."""


class TooFewImages(UsageError):
    """There are too few pictures to learn from and to calibrate with."""


class BlindThreshold(UsageError):
    """A new threshold would miss faults that the old one detects."""


class UnsafeLearning(UsageError):
    """A bundle that learnt on would no longer find what its parent finds."""


class TargetExists(UsageError):
    """The file or folder to be written exists already."""


class NotWritten(UsageError):
    """A file cannot be written: the disk is full, or there is no permission or no folder."""


class MissingExtra(UsageError):
    """An optional part of patchedge is not installed."""


class BundleError(PatchedgeError):
    """A bundle that must not be served."""

    exit_code = 65


class BundleMissing(BundleError):
    """There is no bundle at the path."""


class BundleManifestInvalid(BundleError):
    """The manifest does not match the format."""


class BundleVersionUnknown(BundleError):
    """The bundle is written in a version of the format that this program does not know."""


class BundleFileMissing(BundleError):
    """A file that the manifest lists is missing."""


class BundleFileUnexpected(BundleError):
    """The bundle contains a file that its manifest does not list."""


class BundleFileSize(BundleError):
    """The size of a file differs from the manifest."""


class BundleFileHash(BundleError):
    """The sha256 of a file differs from the manifest."""


class BundleShapeMismatch(BundleError):
    """The files are intact but do not fit together."""


class BundleIndexInvalid(BundleError):
    """The header of the index does not match the bank."""


class BundleGraphInvalid(BundleError):
    """ONNX Runtime cannot load the graph."""


class BundleParity(BundleError):
    """Scores on this machine differ from the exporter's."""


class BundleUnsigned(BundleError):
    """The bundle has no signature, and the settings require one."""


class BundleSignatureInvalid(BundleError):
    """The signature is damaged, or of another manifest."""


class BundleKeyUnknown(BundleError):
    """The bundle is signed by a key that the settings do not name."""


class BundleNoChild(BundleError):
    """A bundle that was learnt on a device is not a child of the bundle that the settings name."""


class BundlePackInvalid(BundleError):
    """A file is not a packed bundle."""


class BundlePackTruncated(BundlePackInvalid):
    """A packed bundle ends too early."""


class BundlePackTrailing(BundlePackInvalid):
    """A packed bundle is followed by more bytes."""


class BundlePackSpecial(BundlePackInvalid):
    """A packed bundle contains a link, a device or a folder in place of a file."""


class BundlePackPath(BundlePackInvalid):
    """A packed bundle contains a name that leads out of it."""


class BundlePackDuplicate(BundlePackInvalid):
    """A packed bundle contains a name twice."""


class BundlePackTooLarge(BundlePackInvalid):
    """A packed bundle contains more than any bundle does."""


class ParityRefused(PatchedgeError):
    """The parity gate found that the bundle differs from the training: no bundle is written."""

    exit_code = 73


class UnavailableError(PatchedgeError):
    """Something outside of the program is missing."""

    exit_code = 69


class SourceUnavailable(UnavailableError):
    """A camera, file or URL does not open."""


class LoginRefused(SourceUnavailable):
    """A camera refuses user and password, or requires them."""


class SourceLost(UnavailableError):
    """An open camera stopped delivering pictures."""


class NothingScored(UnavailableError):
    """None of the frames of a recording could be scored."""


class AddressUnavailable(UnavailableError):
    """A socket cannot be bound or reached."""


class JournalUnavailable(UnavailableError):
    """The file of the journal is in use by another runtime, or is another program's database."""


class ProviderUnavailable(UnavailableError):
    """A provider of ONNX Runtime is not installed, or does not start."""


class NotEnoughMemory(UnavailableError):
    """More memory is needed than there is."""


class WeightsUnavailable(UnavailableError):
    """The weights of a network cannot be downloaded."""


class SettingsError(PatchedgeError):
    """The settings are invalid; its text has a line for each mistake.

    Args:
        what, where, remedy: of the first mistake, as in `PatchedgeError`.
        more: the other mistakes.
    """

    exit_code = 78

    def __init__(self, what: str, *, where: str = "", remedy: str = "", more: Sequence[SettingsError] = ()) -> None:
        """Store all mistakes."""
        super().__init__(what, where=where, remedy=remedy)
        self.more = tuple(more)

    def __str__(self) -> str:
        """Return a line for each mistake."""
        return "\n".join((super().__str__(), *(str(one) for one in self.more)))


class KeysInvalid(SettingsError):
    """A key file is missing, invalid, or readable by others."""


class MessageError(PatchedgeError):
    """Bytes from the wire that are not a patchedge message."""


class RequestError(PatchedgeError):
    """A request to a running device is invalid, or was refused."""
