"""All errors that a user can cause: one class per cause, one line of text, one exit code.

PatchedgeError                      1   (never raised itself)
├── UsageError                      2   arguments or pictures that cannot be used
│   ├── NoImages                        a folder or video without a picture
│   ├── UnreadableImage                 a picture that is truncated or no picture
│   ├── TooFewImages                    not enough pictures to learn and to calibrate
│   ├── BlindThreshold                  a new threshold that would no longer find what the old one does
│   ├── TargetExists                    the file or folder to be written is there already
│   ├── NotWritten                      a file that the system does not take: no room, no right, no folder
│   └── MissingExtra                    an optional part is not installed
├── BundleError                    65   a bundle that must not be served
│   ├── BundleMissing                   no bundle at this path
│   ├── BundleManifestInvalid           manifest.json is not what the format says
│   ├── BundleVersionUnknown            written in another version of the format
│   ├── BundleFileMissing               a listed file is absent
│   ├── BundleFileUnexpected            a file that the manifest does not list
│   ├── BundleFileSize                  a file has another size than the manifest says
│   ├── BundleFileHash                  a file has another sha256 than the manifest says
│   ├── BundleShapeMismatch             files that are whole but do not fit together
│   ├── BundleIndexInvalid              the header of index.hnsw does not match the bank
│   ├── BundleGraphInvalid              ONNX Runtime does not take model.onnx
│   ├── BundleParity                    this machine computes other numbers than the exporter
│   ├── BundleUnsigned                  there is no signature, and the settings want one
│   ├── BundleSignatureInvalid          the signature is not of this manifest, or is none
│   ├── BundleKeyUnknown                signed by a key that the settings do not name
│   └── BundlePackInvalid               a file that is no packed bundle
│       ├── BundlePackTruncated             it ends too early
│       ├── BundlePackTrailing              something follows its end
│       ├── BundlePackSpecial               a link, a device, a folder in place of a file
│       ├── BundlePackPath                  a name that leads out of the bundle
│       ├── BundlePackDuplicate             a name that comes twice
│       └── BundlePackTooLarge              more than any bundle holds
├── ParityRefused                  73   the gate: the graph or index is not what was learnt, no bundle was made
├── UnavailableError               69   something outside is not there
│   ├── SourceUnavailable               camera, file or URL does not open
│   │   └── LoginRefused                    a camera that refuses user and password
│   ├── SourceLost                      a camera that was open delivers no more
│   ├── NothingScored                   a recording of which no frame could be scored
│   ├── AddressUnavailable              a socket cannot be bound or reached
│   ├── JournalUnavailable              the journal's file is another's
│   ├── ProviderUnavailable             a provider of ONNX Runtime that is not there or does not start
│   ├── NotEnoughMemory                 the work needs more memory than there is
│   └── WeightsUnavailable              weights of a network that cannot be downloaded
├── SettingsError                  78   settings that are wrong
│   └── KeysInvalid                     a key file that is missing, is none, or that others can read
├── MessageError                    1   bytes from the wire that are not a patchedge message
└── RequestError                    1   a request to a running device that is not understood
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_config.redact import scrub


class PatchedgeError(Exception):
    """Base of all errors that a user can cause.

    Args:
        what: what is wrong, without a full stop.
        where: the file, key or address that it is about; empty if there is none.
        remedy: what the user can do about it; empty if nothing but the obvious.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        """Keep the three parts, without secrets, and join them into the one line that is shown."""
        what, where, remedy = scrub(what), scrub(where), scrub(remedy)
        self.what, self.where, self.remedy = what, where, remedy
        line = f"{where}: {what}" if where else what
        line = f"{line}; {remedy}" if remedy else line
        super().__init__(_printable(" ".join(line.split())))


def _printable(line: str) -> str:
    """Return a line in which what commands a terminal stands as its code: a stranger may have named a file so."""
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


class UsageError(PatchedgeError):
    """Arguments or pictures that cannot be used."""

    exit_code = 2


class NoImages(UsageError):
    """A folder or a video holds no picture."""


class UnreadableImage(UsageError):
    """A picture is truncated, damaged or not a picture."""


class TooFewImages(UsageError):
    """There are not enough pictures to learn from and to calibrate with."""


class BlindThreshold(UsageError):
    """A new threshold would no longer find what the old one does."""


class TargetExists(UsageError):
    """The file or folder to be written is there already."""


class NotWritten(UsageError):
    """The system does not take a file: there is no room, no right or no folder for it."""


class MissingExtra(UsageError):
    """An optional part of patchedge is not installed."""


class BundleError(PatchedgeError):
    """A bundle that must not be served."""

    exit_code = 65


class BundleMissing(BundleError):
    """There is no bundle at the path."""


class BundleManifestInvalid(BundleError):
    """The manifest is not what the format says."""


class BundleVersionUnknown(BundleError):
    """The bundle is written in a version of the format that this program does not know."""


class BundleFileMissing(BundleError):
    """A file that the manifest lists is absent."""


class BundleFileUnexpected(BundleError):
    """The bundle holds something that its manifest does not list."""


class BundleFileSize(BundleError):
    """A file has another size than the manifest says."""


class BundleFileHash(BundleError):
    """A file has another sha256 than the manifest says."""


class BundleShapeMismatch(BundleError):
    """The files are whole but do not fit together."""


class BundleIndexInvalid(BundleError):
    """The header of the index does not match the bank."""


class BundleGraphInvalid(BundleError):
    """ONNX Runtime does not take the graph."""


class BundleParity(BundleError):
    """This machine computes other numbers than the exporter did."""


class BundleUnsigned(BundleError):
    """The bundle has no signature, and the settings want one."""


class BundleSignatureInvalid(BundleError):
    """The signature is none, or not one of this manifest."""


class BundleKeyUnknown(BundleError):
    """The bundle is signed by a key that the settings do not name."""


class BundlePackInvalid(BundleError):
    """A file is no packed bundle."""


class BundlePackTruncated(BundlePackInvalid):
    """A packed bundle ends too early."""


class BundlePackTrailing(BundlePackInvalid):
    """Something follows the end of a packed bundle."""


class BundlePackSpecial(BundlePackInvalid):
    """A packed bundle holds a link, a device or a folder in place of a file."""


class BundlePackPath(BundlePackInvalid):
    """A packed bundle holds a name that leads out of it."""


class BundlePackDuplicate(BundlePackInvalid):
    """A packed bundle holds a name twice."""


class BundlePackTooLarge(BundlePackInvalid):
    """A packed bundle holds more than any bundle does."""


class ParityRefused(PatchedgeError):
    """The parity gate found that what was made differs from what it was made from: no bundle is sealed."""

    exit_code = 73


class UnavailableError(PatchedgeError):
    """Something outside the program is not there."""

    exit_code = 69


class SourceUnavailable(UnavailableError):
    """A camera, file or URL does not open."""


class LoginRefused(SourceUnavailable):
    """A camera refuses user and password, or wants some."""


class SourceLost(UnavailableError):
    """A camera that was open delivers no more pictures."""


class NothingScored(UnavailableError):
    """A recording is over, and none of its frames could be scored."""


class AddressUnavailable(UnavailableError):
    """A socket cannot be bound or reached."""


class JournalUnavailable(UnavailableError):
    """The file of the journal is in use by another runtime, or is another program's database."""


class ProviderUnavailable(UnavailableError):
    """A provider of ONNX Runtime is not there, or does not start."""


class NotEnoughMemory(UnavailableError):
    """The work needs more memory than there is."""


class WeightsUnavailable(UnavailableError):
    """The weights of a network cannot be downloaded."""


class SettingsError(PatchedgeError):
    """The settings are wrong; its text has a line for each mistake.

    Args:
        what, where, remedy: of the first mistake, as in `PatchedgeError`.
        more: the others.
    """

    exit_code = 78

    def __init__(self, what: str, *, where: str = "", remedy: str = "", more: Sequence[SettingsError] = ()) -> None:
        """Keep all."""
        super().__init__(what, where=where, remedy=remedy)
        self.more = tuple(more)

    def __str__(self) -> str:
        """Return a line for each mistake."""
        return "\n".join((super().__str__(), *(str(one) for one in self.more)))


class KeysInvalid(SettingsError):
    """A key file is missing, is no key, or can be read by others."""


class MessageError(PatchedgeError):
    """Bytes from the wire that are not a patchedge message."""


class RequestError(PatchedgeError):
    """A request to a running device is not understood."""
