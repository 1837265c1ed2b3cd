"""Files to frames and samples, and back. PyAV is imported on first use, not here."""

from visavis.media.audio import Audio, audio_chunks, read_audio, resample
from visavis.media.probe import MediaInfo, probe
from visavis.media.video import video_frames
from visavis.media.writer import VideoWriter, write_audio

__all__ = [
    "Audio",
    "MediaInfo",
    "VideoWriter",
    "audio_chunks",
    "probe",
    "read_audio",
    "resample",
    "video_frames",
    "write_audio",
]
