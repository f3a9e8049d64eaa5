"""From settings to a running pipeline, and back to nothing."""

from __future__ import annotations

import structlog

from edge_config.settings import Settings
from runtime.capture import Live, open_source, redact
from runtime.decide import Decide
from runtime.load import load
from runtime.log import set_up_logging
from runtime.pipeline import Pipeline
from runtime.publish import Publisher
from runtime.termination import Termination
from runtime.threads import limit_threads

_CAPTURE_END_S = 0.5  # a camera's thread that has not ended by then is inside its driver


def serve(settings: Settings, termination: Termination) -> tuple[int, bool]:
    """Run one camera until its source ends or a signal comes.

    Returns:
        The exit code, and whether a capture thread hangs in its driver.

    Raises:
        BundleError, UnavailableError: see `load`, `Publisher`, `open_source` and `Pipeline.run`.
    """
    set_up_logging()
    log = structlog.get_logger()
    threads = limit_threads(settings.threads, blas=1)
    bundle, scorer = load(settings.bundle, threads, settings.search)
    publisher = Publisher(
        settings.events.bind,
        device=settings.device,
        bundle=bundle.id,
        high_water_mark=settings.events.high_water_mark,
    )
    try:
        ((name, camera),) = settings.cameras.items()
        source = open_source(camera.source, pace=camera.pace, fps=camera.fps)
        calibration = bundle.manifest.calibration
        pipeline = Pipeline(name, source, scorer, Decide(calibration.threshold), publisher, overlap=threads > 1)
        termination.call(pipeline.stop)
        log.info(
            "running",
            events=publisher.endpoint,
            device=settings.device,
            camera=name,
            source=redact(str(camera.source)),
            bundle=bundle.id[:12],
            threshold=calibration.threshold,
            false_alarm_rate=calibration.promised_alpha,
        )
        if settings.events.wait_subscribers:
            log.info("waiting for subscribers", wanted=settings.events.wait_subscribers)
        summary = pipeline.run(settings.events.wait_subscribers)
        log.info("ended", **{field: getattr(summary, field) for field in summary.__dataclass_fields__})
        return 0, isinstance(source, Live) and not source.join(_CAPTURE_END_S)
    finally:
        publisher.close()
        termination.done()
