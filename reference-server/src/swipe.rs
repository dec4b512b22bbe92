//! Recorded swipes as files: what a card writes, what a reader reads.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tr_track::f2f::{Motion, Recorder, Stripe, WORKSPACE};
use tr_track::{Framed, Reading, SwipeErrorKind, Track, Track2, TrackNumber};
use zeroize::Zeroizing;

use crate::config::write_private;
use crate::ui;

/// Samples a second of what we write.
const RATE: u32 = 48_000;
/// Speeds at the start and the end of the swipe that we write, in mm/s: a calm hand.
const SPEED: (u32, u32) = (250, 420);
/// Longest recording that is read, in octets.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Writes the swipe of a card as a stereo WAV, track 1 left and track 2 right; only its owner may read it.
///
/// # Errors
/// When a track cannot be encoded or the file cannot be written.
pub fn write_wav(path: &Path, track1: &str, track2: &str) -> Result<()> {
    write_samples(
        path,
        &[samples(track1, TrackNumber::One)?, samples(track2, TrackNumber::Two)?],
    )
}

/// Looks whether a file can be made there, before a card is issued that its swipe would be of.
///
/// # Errors
/// When there is no such folder, or something else than a file has the name.
pub fn writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    ensure!(
        folder.is_dir() && !path.is_dir(),
        "cannot write {}: name a file in a folder that is there",
        path.display()
    );
    Ok(())
}

/// Writes channels of samples as a WAV; only its owner may read it.
///
/// # Errors
/// When the file cannot be written.
pub fn write_samples(path: &Path, channels: &[Zeroizing<Vec<i16>>]) -> Result<()> {
    let spec = hound::WavSpec {
        channels: u16::try_from(channels.len())?,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut octets = Zeroizing::new(Vec::new());
    let mut writer = hound::WavWriter::new(Cursor::new(&mut *octets), spec)?;
    for at in 0..channels.iter().map(|channel| channel.len()).max().unwrap_or_default() {
        for channel in channels {
            writer.write_sample(channel.get(at).copied().unwrap_or(0))?;
        }
    }
    writer.finalize()?;
    write_private(path, &octets)
}

fn samples(text: &str, number: TrackNumber) -> Result<Zeroizing<Vec<i16>>> {
    let framed = Framed::parse(text).map_err(|error| anyhow!("{number:?}: {error}"))?;
    let bits = framed.to_bits();
    let stripe = Stripe::iso(&bits, number).map_err(|error| anyhow!("{number:?}: {error}"))?;
    let motion = Motion::changing(SPEED.0, SPEED.1).map_err(|error| anyhow!("{error}"))?;
    let recorder = Recorder::new(RATE).map_err(|error| anyhow!("{error}"))?;
    Ok(Zeroizing::new(stripe.samples(motion, recorder).collect()))
}

/// One track of a recording, with the channel it was on.
#[derive(Debug)]
pub struct Channel {
    /// Counted from 1.
    pub number: usize,
    /// What was read, or why there is not even a bit.
    pub reading: Result<Reading>,
}

/// Reads a recording: WAV (every channel), `.MAG`, or flux CSV, told apart by what is in it.
///
/// # Errors
/// When the file cannot be read or is none of the three.
pub fn read(path: &Path) -> Result<Vec<Channel>> {
    let length = fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    ensure!(
        length <= MAX_FILE,
        "{} has {length} octets, at most {MAX_FILE} are read: is it the right file?",
        path.display()
    );
    let octets = Zeroizing::new(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    let mut workspace = vec![0; WORKSPACE];
    let of_file = |reading: Result<Reading, tr_track::formats::FormatError>| {
        let reading = reading.map_err(|error| anyhow!("{}: {error}", path.display()))?;
        Ok(vec![Channel {
            number: 1,
            reading: Ok(reading),
        }])
    };
    if octets.starts_with(b"RIFF") {
        read_wav(&octets).with_context(|| format!("{} is no WAV that can be read", path.display()))
    } else if is_named(path, "csv") || octets.starts_with(b"level") {
        of_file(Reading::of_flux_csv(&octets, &mut workspace))
    } else if is_named(path, "mag") {
        of_file(Reading::of_mag(&octets, &mut workspace))
    } else {
        bail!("{} is neither WAV, nor .MAG, nor flux CSV", path.display())
    }
}

fn is_named(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn read_wav(octets: &[u8]) -> Result<Vec<Channel>> {
    let mut reader = hound::WavReader::new(octets)?;
    let spec = reader.spec();
    let all: Zeroizing<Vec<i16>> = match (spec.sample_format, spec.bits_per_sample) {
        (hound::SampleFormat::Int, 16) => Zeroizing::new(reader.samples::<i16>().collect::<Result<_, _>>()?),
        (hound::SampleFormat::Int, bits @ (8 | 24 | 32)) => {
            let shift = i32::from(bits) - 16;
            let to_16 = |sample: i32| if shift < 0 { sample << -shift } else { sample >> shift };
            let samples = reader
                .samples::<i32>()
                .map(|sample| sample.map(|sample| i16::try_from(to_16(sample)).unwrap_or(0)));
            Zeroizing::new(samples.collect::<Result<_, _>>()?)
        }
        (format, bits) => bail!("samples of {bits} bits ({format:?}) are not read; integers of 8 to 32 bits are"),
    };
    let channels = usize::from(spec.channels).max(1);
    let mut workspace = vec![0; WORKSPACE];
    let mut read = Vec::new();
    for channel in 0..channels {
        let one: Zeroizing<Vec<i16>> = Zeroizing::new(all.iter().skip(channel).step_by(channels).copied().collect());
        let reading = Reading::of_samples(&one, spec.sample_rate, &mut workspace).map_err(|error| match error.kind {
            SwipeErrorKind::WorkspaceFull { .. } => anyhow!("{error}: this is no single swipe"),
            _ => anyhow!("{error}"),
        });
        read.push(Channel {
            number: channel.saturating_add(1),
            reading,
        });
    }
    Ok(read)
}

/// Track 2 of a recording, as characters with their sentinels: what a POS sends.
///
/// # Errors
/// Why the swipe cannot be used, in words for a cashier and details for a technician.
pub fn track2(path: &Path) -> Result<Zeroizing<String>> {
    let channels = read(path)?;
    let mut reasons = Vec::new();
    for channel in &channels {
        match &channel.reading {
            Ok(reading) => match reading.track() {
                Ok(Track::Two(track)) => return Ok(text(track)),
                Ok(_) => {}
                Err(error) => reasons.push(format!("channel {}: {error}", channel.number)),
            },
            Err(error) => reasons.push(format!("channel {}: {error}", channel.number)),
        }
    }
    bail!(
        "no track 2 was read ({}): swipe again",
        if reasons.is_empty() {
            "there is none".to_owned()
        } else {
            reasons.join("; ")
        }
    )
}

fn text(track: &Track2) -> Zeroizing<String> {
    Zeroizing::new(track.to_framed().expose_text().to_string())
}

/// Prints what a recording says, at the level that it reached. Asked for by a person, about that person's own file.
///
/// # Errors
/// When no channel of the file has as much as a bit.
pub fn print(path: &Path) -> Result<()> {
    let channels = read(path)?;
    let mut silent = Vec::new();
    for channel in &channels {
        let prefix = if channels.len() > 1 {
            format!("channel {}: ", channel.number)
        } else {
            String::new()
        };
        match &channel.reading {
            Ok(reading) => print_reading(&prefix, reading),
            Err(error) => silent.push(format!("{prefix}{error}")),
        }
    }
    if silent.len() == channels.len() {
        bail!("{}: {}", path.display(), silent.join("; "));
    }
    for line in silent {
        ui::line(line);
    }
    Ok(())
}

fn print_reading(prefix: &str, reading: &Reading) {
    let confidence = reading.recovered().confidence();
    let certainty = format!(
        "confidence {} % (worst bit {} %)",
        confidence.mean(),
        confidence.worst()
    );
    match reading.track() {
        Ok(track) => {
            ui::line(format!(
                "{prefix}ISO/IEC 7813 track {}, {certainty}",
                number(track.number())
            ));
            ui::line(format!("  text            {}", track.to_framed().expose_text()));
            ui::line(format!("  PAN             {}", track.pan().expose_digits()));
            if let Track::One(track) = track {
                ui::line(format!("  name            {}", track.name().as_str()));
            }
            let expiry = track.expiry().map_or("none".to_owned(), |e| {
                format!("{:02}/{:02} (month/year)", e.month(), e.year())
            });
            ui::line(format!("  expiry          {expiry}"));
            match track.service_code() {
                Some(code) => ui::line(format!(
                    "  service code    {} ({:?}, {:?}, {:?})",
                    String::from_utf8_lossy(&code.digits()),
                    code.interchange(),
                    code.authorisation(),
                    code.services()
                )),
                None => ui::line("  service code    none"),
            }
            ui::line(format!("  discretionary   {}", track.discretionary().expose()));
            ui::line(format!("  LRC             {}", track.to_framed().lrc_character()));
        }
        Err(why) => match reading.framed() {
            Ok(framed) => {
                ui::line(format!(
                    "{prefix}ISO/IEC 7811 characters, {certainty}; no ISO/IEC 7813 track: {why}"
                ));
                ui::line(format!("  text            {}", framed.expose_text()));
                ui::line(format!("  LRC             {}", framed.lrc_character()));
            }
            Err(frame) => {
                let bits = reading.bits().trimmed();
                ui::line(format!("{prefix}F2F bits, {certainty}; no ISO/IEC 7811 frame: {frame}"));
                ui::line(format!("  {} bits         {}", bits.len(), bits.expose_binary()));
            }
        },
    }
    if let Some(direction) = reading.direction() {
        ui::line(format!("  swiped          {}", format!("{direction:?}").to_lowercase()));
    }
}

const fn number(number: TrackNumber) -> u8 {
    match number {
        TrackNumber::One => 1,
        TrackNumber::Two => 2,
        TrackNumber::Three => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK1: &str = "%B9999000112345677^DOE/JANE^29117221001314159265840?";
    const TRACK2: &str = ";9999000112345677=29117221001314159265?";

    #[test]
    fn a_written_swipe_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card.wav");
        write_wav(&path, TRACK1, TRACK2).unwrap();
        assert_eq!(*track2(&path).unwrap(), TRACK2);
        let channels = read(&path).unwrap();
        let texts: Vec<_> = channels
            .iter()
            .map(|channel| {
                channel
                    .reading
                    .as_ref()
                    .unwrap()
                    .track()
                    .unwrap()
                    .to_framed()
                    .expose_text()
                    .to_string()
            })
            .collect();
        assert_eq!(texts, [TRACK1, TRACK2]);
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn other_files_are_refused_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("a.txt", &b"hello"[..]),
            ("a.wav", b"RIFFxxxx"),
            ("a.csv", b"level,time_ms\n1,x\n"),
            ("a.mag", b"abc"),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(!error.contains('\n') && error.contains(name), "{error}");
        }
    }
}
