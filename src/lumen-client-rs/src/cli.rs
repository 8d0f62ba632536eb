//! The command line of `lumen-client`: text or JSON out, an exit code that says what failed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::analysis::{Distribution, Samples};
use crate::decode::DecoderChoice;
use crate::discover::discover;
use crate::identity::IdentityStore;
use crate::loss::LossOptions;
use crate::microphone::MicrophoneSource;
use crate::options::{AppChoice, AudioChannels, Encryption, Entry, Transport};
use crate::report::Expectations;
use crate::script::{self, Script};
use crate::{Client, ClientError, HostAddress, StreamOptions, StreamReport};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use lumen_core::gamestream::http::Codec;
use nix::sys::signal::{SigSet, Signal};

const EXIT_CODES: &str = "\
Exit codes:
  0  everything went as demanded
  1  something on this machine failed (files, decoder)
  2  the command makes no sense
  3  the host cannot be reached
  4  not paired, or pairing failed
  5  the host refused
  6  the negotiation failed
  7  no picture came
  8  the stream was lost
  9  the stream was worse than --expect-* demand";

const SCRIPT_HELP: &str = "\
Input scripts have one action a line; times count from the first decoded picture:
  at 1.0s                          what follows happens then
  wait 200ms                       and what follows this, so much later
  at 2s key A down                 both may stand in front of an action
  key NAME down|up|tap             A, 7, F5, SPACE, LEFTSHIFT, 0x41 (Windows virtual key)
  text \"hello\"
  pointer X Y                      to a pixel of the picture
  move DX DY                       relative motion
  button left|middle|right|x1|x2 down|up|click
  scroll NOTCHES                   up is positive
  hscroll NOTCHES                  right is positive
  touch ID down|move|up|hover|leave|cancel X Y [PRESSURE]
  pen down|move|up|hover|leave X Y [PRESSURE] [tilt DEG] [rotation DEG] [eraser] [primary]
  pad N arrive xbox|playstation|nintendo|steam
  pad N button NAME down|up|tap    a b x y up down left right start back lb rb guide ...
  pad N stick left|right X Y       -1.0 to 1.0, up is positive
  pad N trigger left|right V       0.0 to 1.0
  pad N touch ID down|move|up X Y
  pad N motion accel|gyro X Y Z
  pad N battery PERCENT
  pad N leave
  copy \"hello\"                     on the clipboard of the session, with --clipboard
  copy-png FILE
  # a comment";

/// A GameStream client without a screen: discovers, pairs, lists, streams, and measures.
#[derive(Debug, Parser)]
#[command(name = "lumen-client", version, after_help = EXIT_CODES)]
struct Cli {
    /// Directory of this client's key, certificate and known hosts.
    #[arg(long, global = true, value_name = "DIR")]
    identity: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find hosts in the local network.
    Discover {
        /// How long to listen.
        #[arg(long, default_value = "3s", value_parser = script::duration, value_name = "TIME")]
        time: Duration,
    },
    /// Ask a host what it is.
    Info {
        /// NAME, NAME:PORT or [IPV6]:PORT; the port is that of HTTP, 47989 by default.
        host: HostAddress,
    },
    /// Pair with a host: type the PIN that is shown there.
    Pair {
        /// The host.
        host: HostAddress,
        /// Use this PIN instead of a random one.
        #[arg(long)]
        pin: Option<String>,
        /// Over QUIC, by lumen/1 itself. The host knows the client for GameStream, too, and the other way round.
        #[cfg(feature = "quic")]
        #[arg(long)]
        quic: bool,
    },
    /// Forget a host.
    Unpair {
        /// The host.
        host: HostAddress,
    },
    /// List the applications of a host.
    List {
        /// The host.
        host: HostAddress,
        /// Ask over QUIC.
        #[cfg(feature = "quic")]
        #[arg(long)]
        quic: bool,
    },
    /// Stream an application and report.
    Stream(Box<StreamArgs>),
    /// End the application that runs at a host.
    Quit {
        /// The host.
        host: HostAddress,
        /// Ask over QUIC.
        #[cfg(feature = "quic")]
        #[arg(long)]
        quic: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = format!("{SCRIPT_HELP}\n\n{EXIT_CODES}"))]
struct StreamArgs {
    /// The host.
    host: HostAddress,
    /// Application by title or number; without it what runs, else the first.
    #[arg(long)]
    app: Option<String>,
    /// WIDTHxHEIGHT@RATE.
    #[arg(long, default_value = "1280x720@60", value_parser = mode)]
    mode: (u32, u32, u32),
    /// How long, from the first picture on; without it until Ctrl-C.
    #[arg(long, value_parser = script::duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// Go on after --duration until so many pictures were decoded, for at most a minute.
    #[arg(long, default_value_t = 0, requires = "duration", value_name = "COUNT")]
    least_frames: u64,
    /// Codec of the pictures.
    #[arg(long, value_enum, default_value_t = CodecArg::H264)]
    codec: CodecArg,
    /// 4:4:4 instead of 4:2:0.
    #[arg(long)]
    yuv444: bool,
    /// 10 bits, and HDR if the host has it.
    #[arg(long)]
    hdr: bool,
    /// Bits a second for everything, such as 10M or 800k.
    #[arg(long, default_value = "10M", value_parser = bitrate)]
    bitrate: u32,
    /// Bytes of a video packet, a multiple of 16.
    #[arg(long, default_value_t = 1392, value_name = "BYTES")]
    packet_size: u32,
    /// Slices of a picture.
    #[arg(long, default_value_t = 4)]
    slices: u8,
    /// Channels of sound.
    #[arg(long, value_enum, default_value_t = AudioArg::Stereo)]
    audio: AudioArg,
    /// Quality of sound; by default high from 15 Mbit/s on.
    #[arg(long, value_enum)]
    audio_quality: Option<QualityArg>,
    /// Milliseconds of sound in a packet: 5 or 10.
    #[arg(long, default_value_t = 5, value_name = "MS")]
    audio_packet: u8,
    /// The protocol of picture, sound and input. `auto` takes lumen/1 where the host offers it; `quic` is lumen/1 without
    /// GameStream.
    #[arg(long, value_enum, default_value_t = TransportArg::Gamestream)]
    transport: TransportArg,
    /// After --duration go on in this mode for as long again, while the application runs on. May come several times; only
    /// with `--transport quic`.
    #[cfg(feature = "quic")]
    #[arg(long, value_parser = mode, value_name = "MODE", requires = "duration", conflicts_with_all = ["record", "record_audio"])]
    then: Vec<(u32, u32, u32)>,
    /// Encryption of video and audio over GameStream. Hosts may demand it; lumen/1 always seals everything.
    #[arg(long, value_enum, default_value_t = EncryptArg::All)]
    encrypt: EncryptArg,
    /// After losses ask for key frames only.
    #[arg(long)]
    no_invalidation: bool,
    /// Resume what runs, and nothing else.
    #[arg(long, conflicts_with = "launch")]
    resume: bool,
    /// Launch, whatever runs.
    #[arg(long)]
    launch: bool,
    /// End the application afterwards.
    #[arg(long)]
    quit_after: bool,
    /// Do everything so many times, and say how long the first decoded picture took.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Which decoder.
    #[arg(long, value_enum, default_value_t = DecoderArg::Auto)]
    decoder: DecoderArg,
    /// Withhold so many percent of the video datagrams that arrive.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    drop_video: f64,
    /// Withhold so many percent of the audio datagrams that arrive.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    drop_audio: f64,
    /// Withhold so many in a row; the rate stays.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    burst: u32,
    /// Where the random numbers of withholding begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Input to send; see below.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Share the clipboard of the session, if the host grants it (over lumen/1): input scripts copy, the report says what
    /// was copied there.
    #[arg(long)]
    clipboard: bool,
    /// Write what is copied in the session into this directory, as 1.txt, 2.png and so on.
    #[arg(long, value_name = "DIR", requires = "clipboard")]
    save_clipboard: Option<PathBuf>,
    /// What the host hears as this client's microphone, if it grants one (over lumen/1): `tone` or `tone:HERTZ`; a file
    /// or a pipe with samples of one channel at 48 kHz, signed 16 bits, little endian; `-` for those on standard input.
    #[arg(long, value_name = "SOURCE")]
    microphone: Option<MicrophoneSource>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,
    /// Write the elementary stream: Annex B, or IVF of AV1.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write the sound as WAV.
    #[arg(long, value_name = "FILE")]
    record_audio: Option<PathBuf>,
    /// Write the last picture as PNG.
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
    /// How long to wait for the first picture.
    #[arg(long, default_value = "10s", value_parser = script::duration, value_name = "TIME")]
    first_frame_timeout: Duration,
    /// Fail unless nothing was lost: no frame, no packet of sound.
    #[arg(long, help_heading = "Bounds")]
    expect_no_loss: bool,
    /// Fail if more pictures of the test card never came, lost or skipped by the host.
    #[arg(long, value_name = "COUNT", help_heading = "Bounds")]
    expect_max_missing: Option<u64>,
    /// Fail if more frames were lost or dropped.
    #[arg(long, value_name = "COUNT", help_heading = "Bounds")]
    expect_max_lost: Option<u64>,
    /// Fail if fewer frames were decoded.
    #[arg(long, value_name = "COUNT", help_heading = "Bounds")]
    expect_min_frames: Option<u64>,
    /// Fail if the first frame was decoded later, from the attempt to connect on.
    #[arg(long, value_parser = script::duration, value_name = "TIME", help_heading = "Bounds")]
    expect_first_frame: Option<Duration>,
    /// Fail if more than 5 % of the frames took longer from drawing to decoded.
    #[arg(long, value_parser = script::duration, value_name = "TIME", help_heading = "Bounds")]
    expect_latency: Option<Duration>,
    /// Fail if sound is further from the picture, at the median.
    #[arg(long, value_parser = script::duration, value_name = "TIME", help_heading = "Bounds")]
    expect_av_offset: Option<Duration>,
    /// Fail unless the test card got exactly the input that was sent.
    #[arg(long, help_heading = "Bounds")]
    expect_input: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CodecArg {
    H264,
    Hevc,
    Av1,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AudioArg {
    Stereo,
    #[value(name = "5.1")]
    Surround51,
    #[value(name = "7.1")]
    Surround71,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum QualityArg {
    Normal,
    High,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EncryptArg {
    None,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TransportArg {
    Auto,
    Gamestream,
    Lumen1,
    #[cfg(feature = "quic")]
    Quic,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DecoderArg {
    Auto,
    BuiltIn,
    Ffmpeg,
}

/// How a host is asked.
enum Over {
    GameStream,
    #[cfg(feature = "quic")]
    Quic,
}

impl Over {
    fn of(command: &Command) -> Self {
        match command {
            #[cfg(feature = "quic")]
            Command::List { quic: true, .. } | Command::Quit { quic: true, .. } => Self::Quic,
            _ => Self::GameStream,
        }
    }
}

/// The definition of the command line, for the reference page.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command; what failed is the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lumen-client: {}", plain(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), ClientError> {
    let directory = cli.identity.unwrap_or_else(IdentityStore::default_directory);
    let client = || Client::new(&directory);
    let over = Over::of(&cli.command);
    match cli.command {
        Command::Discover { time } => {
            let hosts = discover(time)?;
            if cli.json {
                return print_json(&hosts);
            }
            for host in &hosts {
                let addresses: Vec<_> = host.addresses.iter().map(ToString::to_string).collect();
                println!("{}\t{}", plain(&host.name), addresses.join(" "));
            }
            if hosts.is_empty() {
                eprintln!("no host was heard; one that is further away can be given by its address");
            }
        }
        Command::Info { host } => {
            let found = client()?.info(&host)?;
            let info = &found.info;
            let (app, busy) = match info.state {
                lumen_core::gamestream::http::HostState::Free => (None, false),
                lumen_core::gamestream::http::HostState::Busy(app) => (app.map(|app| app.get()), true),
            };
            let profiles: Vec<_> = info.codecs.profiles().map(|profile| format!("{profile:?}")).collect();
            let json = serde_json::json!({
                "name": info.hostname, "address": found.address.to_string(), "id": info.unique_id,
                "version": info.app_version.to_string(), "paired": found.pinned.is_some() && info.paired,
                "busy": busy, "app": app, "https_port": info.https_port, "profiles": profiles,
            });
            return print_json(&json);
        }
        #[cfg(feature = "quic")]
        Command::Pair { host, pin, quic: true } => {
            let (name, certificate) = client()?.pair_natively(&host, pin.as_deref(), |pin| {
                eprintln!("Type this PIN at the host: {pin}");
            })?;
            let fingerprint = certificate.fingerprint().to_string();
            return paired(&name, &fingerprint, cli.json);
        }
        Command::Pair { host, pin, .. } => {
            let found = client()?.pair(&host, pin.as_deref(), |pin| {
                eprintln!("Type this PIN at the host: {pin}");
            })?;
            let fingerprint = found.pinned.as_ref().map(|pinned| pinned.fingerprint().to_string()).unwrap_or_default();
            return paired(&found.info.hostname, &fingerprint, cli.json);
        }
        Command::Unpair { host } => {
            let known = client()?.unpair(&host)?;
            println!("{}", if known { "forgotten" } else { "this host was not known" });
        }
        Command::List { host, .. } => {
            let apps = match over {
                Over::GameStream => client()?.apps(&host)?,
                #[cfg(feature = "quic")]
                Over::Quic => client()?.link(&host)?.apps()?,
            };
            if cli.json {
                let apps: Vec<_> = apps
                    .iter()
                    .map(|app| serde_json::json!({ "id": app.id.get(), "title": app.title, "hdr": app.hdr }))
                    .collect();
                return print_json(&apps);
            }
            apps.iter().for_each(|app| println!("{}\t{}", app.id.get(), plain(&app.title)));
        }
        Command::Stream(args) => return stream(&client()?, *args, cli.json),
        Command::Quit { host, .. } => match over {
            Over::GameStream => client()?.quit(&host)?,
            #[cfg(feature = "quic")]
            Over::Quic => client()?.link(&host)?.quit()?,
        },
    }
    Ok(())
}

fn paired(name: &str, fingerprint: &str, json: bool) -> Result<(), ClientError> {
    if json {
        return print_json(&serde_json::json!({ "name": name, "certificate": fingerprint }));
    }
    println!("paired with {}, certificate {fingerprint}", plain(name));
    Ok(())
}

fn stream(client: &Client, args: StreamArgs, json: bool) -> Result<(), ClientError> {
    let host = args.host.clone();
    let (stats, repeat) = (args.stats_json.clone(), args.repeat);
    #[cfg(feature = "quic")]
    let modes = args.then.clone();
    let options = stream_options(args)?;
    let interrupt = catch_signals();
    let mut runs = Runs::default();
    let mut judgement = Ok(());
    for run in 0..repeat {
        #[cfg(feature = "quic")]
        let reports = client.stream_in_modes(&host, &options, &modes, &interrupt)?;
        #[cfg(not(feature = "quic"))]
        let reports = [client.stream_until(&host, &options, &interrupt)?];
        if !json && repeat > 1 {
            println!("run {} of {repeat}", run + 1);
        }
        for report in reports {
            if !json {
                println!("{}", plain(&report.to_string()));
            }
            // The first run that was bad decides.
            judgement = judgement.and(Client::judge(&report, &options));
            runs.add(report);
        }
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
    }
    let first_frame = runs.finish();
    if let (Some(all), false) = (first_frame.filter(|all| all.count > 1), json) {
        println!(
            "first decoded picture of {} runs: p50 {:.0} · p95 {:.0} · max {:.0} ms",
            all.count, all.p50, all.p95, all.max
        );
    }
    // One run is a report, several are a list with what they have in common.
    let text = match &runs.runs[..] {
        [only] => to_json(only)?,
        _ => to_json(&runs)?,
    };
    if json {
        println!("{text}");
    }
    if let Some(path) = stats {
        std::fs::write(&path, text).map_err(|source| ClientError::File { action: "write", path, source })?;
    }
    judgement
}

/// The reports of a repeated stream.
#[derive(Default, serde::Serialize)]
struct Runs {
    /// From the attempt to connect to the first decoded picture, in milliseconds.
    first_frame_decoded: Option<Distribution>,
    runs: Vec<StreamReport>,
}

impl Runs {
    fn add(&mut self, report: StreamReport) {
        self.runs.push(report);
    }

    fn finish(&mut self) -> Option<Distribution> {
        let mut samples = Samples::default();
        self.runs
            .iter()
            .filter_map(|run| run.connect.first_frame_decoded)
            .for_each(|millis| samples.add((millis * 1000.0) as i64));
        self.first_frame_decoded = samples.distribution();
        self.first_frame_decoded
    }
}

fn stream_options(args: StreamArgs) -> Result<StreamOptions, ClientError> {
    let (width, height, fps) = args.mode;
    Ok(StreamOptions {
        app: args.app.map_or(AppChoice::Any, AppChoice::Named),
        entry: match (args.launch, args.resume) {
            (true, _) => Entry::Launch,
            (false, true) => Entry::Resume,
            (false, false) => Entry::Auto,
        },
        width,
        height,
        fps,
        duration: args.duration,
        least_frames: args.least_frames,
        codec: match args.codec {
            CodecArg::H264 => Codec::H264,
            CodecArg::Hevc => Codec::Hevc,
            CodecArg::Av1 => Codec::Av1,
        },
        chroma_444: args.yuv444,
        hdr: args.hdr,
        bitrate_kbps: args.bitrate,
        packet_size: args.packet_size,
        audio: match args.audio {
            AudioArg::Stereo => AudioChannels::Stereo,
            AudioArg::Surround51 => AudioChannels::Surround51,
            AudioArg::Surround71 => AudioChannels::Surround71,
        },
        high_quality_audio: args.audio_quality.map(|quality| matches!(quality, QualityArg::High)),
        audio_packet_ms: args.audio_packet,
        transport: match args.transport {
            TransportArg::Auto => Transport::Auto,
            TransportArg::Gamestream => Transport::GameStream,
            TransportArg::Lumen1 => Transport::Lumen1,
            #[cfg(feature = "quic")]
            TransportArg::Quic => Transport::Quic,
        },
        encryption: match args.encrypt {
            EncryptArg::None => Encryption::None,
            EncryptArg::All => Encryption::All,
        },
        reference_invalidation: !args.no_invalidation,
        slices: args.slices,
        loss: LossOptions {
            video_percent: args.drop_video,
            audio_percent: args.drop_audio,
            burst: args.burst,
            seed: args.seed,
        },
        decoder: match args.decoder {
            DecoderArg::Auto => DecoderChoice::Auto,
            DecoderArg::BuiltIn => DecoderChoice::BuiltIn,
            DecoderArg::Ffmpeg => DecoderChoice::Ffmpeg,
        },
        keep_pictures: false,
        script: args.input.map(|path| read_script(&path, width, height)).transpose()?,
        clipboard: args.clipboard,
        save_clipboard: args.save_clipboard,
        microphone: args.microphone,
        record: args.record,
        record_audio: args.record_audio,
        screenshot: args.screenshot,
        quit_after: args.quit_after,
        first_frame_timeout: args.first_frame_timeout,
        expect: Expectations {
            no_loss: args.expect_no_loss,
            max_missing: args.expect_max_missing,
            max_lost_frames: args.expect_max_lost,
            min_frames: args.expect_min_frames,
            first_frame: args.expect_first_frame,
            latency_p95: args.expect_latency,
            av_offset: args.expect_av_offset,
            input_echo: args.expect_input,
        },
    })
}

fn read_script(path: &Path, width: u32, height: u32) -> Result<Script, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|source| ClientError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Script::parse(&text, width, height).map_err(|error| ClientError::Usage(error.to_string()))
}

fn print_json(value: &impl serde::Serialize) -> Result<(), ClientError> {
    println!("{}", to_json(value)?);
    Ok(())
}

fn to_json(value: &impl serde::Serialize) -> Result<String, ClientError> {
    serde_json::to_string_pretty(value)
        .map_err(|error| ClientError::Local { action: "cannot write JSON", reason: error.to_string() })
}

/// Text in which a host's words cannot steer the terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
}

fn mode(text: &str) -> Result<(u32, u32, u32), String> {
    let wrong = || format!("{text} is no mode; write WIDTHxHEIGHT@RATE such as 1280x720@60");
    let (size, rate) = text.split_once('@').ok_or_else(wrong)?;
    let (width, height) = size.split_once('x').ok_or_else(wrong)?;
    let number = |digits: &str| digits.parse::<u32>().map_err(|_| wrong());
    Ok((number(width)?, number(height)?, number(rate)?))
}

/// In kbit/s.
fn bitrate(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text} is no bitrate; write 10M or 800k");
    let (digits, kilobits) = match text.strip_suffix(['M', 'm']) {
        Some(digits) => (digits, 1000.0),
        None => (text.strip_suffix(['K', 'k']).ok_or_else(wrong)?, 1.0),
    };
    let rate = digits.parse::<f64>().map_err(|_| wrong())? * kilobits;
    if (1.0..4e6).contains(&rate) { Ok(rate as u32) } else { Err(wrong()) }
}

/// From here on the first SIGINT or SIGTERM asks the stream to end; the second ends the process.
fn catch_signals() -> Arc<AtomicBool> {
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    // Blocked here and so in all threads that follow; without it the signals only end the process sooner.
    if signals.thread_block().is_ok() {
        let flag = Arc::clone(&interrupt);
        std::thread::spawn(move || {
            while signals.wait().is_ok() {
                if flag.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    }
    interrupt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn modes_and_bitrates_are_read() {
        assert_eq!(mode("1280x720@60"), Ok((1280, 720, 60)));
        assert!(mode("1280x720").is_err() && mode("axb@c").is_err());
        assert_eq!(bitrate("10M"), Ok(10_000));
        assert_eq!(bitrate("800k"), Ok(800));
        assert!(bitrate("10").is_err() && bitrate("0k").is_err() && bitrate("99999M").is_err());
    }

    #[test]
    fn a_whole_stream_command_becomes_options() {
        let line =
            "lumen-client stream tower:41000 --app Desktop --mode 640x360@30 --duration 2s --drop-video 5 --burst 3";
        let Command::Stream(args) = Cli::parse_from(line.split(' ')).command else { panic!("another command") };
        let options = stream_options(*args).unwrap();
        assert_eq!((options.width, options.height, options.fps), (640, 360, 30));
        assert_eq!((options.loss.video_percent, options.loss.burst), (5.0, 3));
        assert_eq!(options.duration, Some(Duration::from_secs(2)));
    }
}
