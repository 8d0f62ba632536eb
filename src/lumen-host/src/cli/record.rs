//! `lumen record`: a display into a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::display::{DisplayArgs, bitrate, interrupted};
use super::output::{json, only_ours};
use super::{Context, logging};
use crate::config::Overrides;
use crate::encode::Codec;
use crate::record::{RecordOptions, Summary, record};

/// Arguments of `lumen record`.
#[derive(Debug, Args)]
pub(super) struct Record {
    #[command(flatten)]
    display: DisplayArgs,
    /// Compression format of the pictures
    #[arg(long, value_enum, default_value = "h264")]
    codec: Format,
    /// Bit rate of the pictures, such as 20M
    #[arg(long, value_name = "RATE", default_value = "20M", value_parser = bitrate)]
    bitrate: u64,
    /// File to write, in Matroska format
    #[arg(long, short, value_name = "FILE.mkv")]
    output: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    H264,
    Hevc,
    Av1,
}

impl Record {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        quieten_svt(self.codec)?;
        logging::start(&context.load(Overrides::default())?.config.log);
        let mut out = only_ours()?;
        let session = self.display.session(context)?;
        let file = File::create(&self.output).with_context(|| format!("cannot write {}", self.output.display()))?;
        let options = RecordOptions {
            session: session.spec.clone(),
            codec: match self.codec {
                Format::H264 => Codec::H264,
                Format::Hevc => Codec::Hevc,
                Format::Av1 => Codec::Av1,
            },
            bitrate_bps: self.bitrate,
            duration: self.display.duration,
        };
        let result = record(&options, BufWriter::new(file), &*interrupted()?);
        drop(session);
        let summary = match result {
            Ok(summary) => summary,
            Err(error) => {
                // A file that nothing was written to says nothing.
                if std::fs::metadata(&self.output).is_ok_and(|file| file.len() == 0) {
                    let _ = std::fs::remove_file(&self.output);
                }
                return Err(error);
            }
        };
        if self.json { json(&mut out, &summary) } else { text(&mut out, &self.output, &summary) }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// SVT-AV1 prints a banner for every stream unless its environment says "errors only" from the beginning.
fn quieten_svt(codec: Format) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    if !matches!(codec, Format::Av1) || std::env::var_os("SVT_LOG").is_some() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new("/proc/self/exe");
    again.arg0(arguments.next().unwrap_or_else(|| "lumen".into())).args(arguments).env("SVT_LOG", "1");
    // Returns only if it failed.
    Err(again.exec())
}

fn text(out: &mut impl Write, file: &std::path::Path, summary: &Summary) -> io::Result<()> {
    let Summary { frames, key_frames, replaced, skipped, seconds, .. } = summary;
    let rate = summary.video_bytes as f64 * 8.0 / seconds.max(0.001) / 1e6;
    writeln!(out, "{}: {seconds:.1} s by {}", file.display(), summary.encoder)?;
    writeln!(out, "Pictures   {frames}, {key_frames} of them key frames, {rate:.1} Mbit/s")?;
    writeln!(out, "Left out   {replaced} replaced by newer ones, {skipped} skipped by the encoder")?;
    writeln!(out, "Sound      {} packets", summary.audio_packets)?;
    let (datagrams, withheld, rebuilt) = (summary.datagrams, summary.withheld, summary.rebuilt);
    writeln!(out, "Round trip {datagrams} datagrams, {withheld} withheld, {rebuilt} packets rebuilt; nothing differs")?;
    summary.ended_early.iter().try_for_each(|reason| writeln!(out, "Ended early: {reason}"))
}
