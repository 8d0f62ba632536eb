//! What an encoder of the installed FFmpeg writes, its decoder reads: fields, planes and colours arrive.

use lumen_ffmpeg::{EncoderParams, Library, PictureType, PixelFormat, VideoDecoder, VideoEncoder};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;

fn library() -> std::sync::Arc<Library> {
    Library::load().expect("these tests need FFmpeg's libraries; scripts/test installs them")
}

fn params(format: PixelFormat) -> EncoderParams {
    EncoderParams { width: WIDTH, height: HEIGHT, format, rate_num: 60, rate_den: 1 }
}

fn option(name: &'static str, value: &str) -> (&'static str, String) {
    (name, value.to_owned())
}

/// Draws a flat picture; 10-bit samples are given as such.
fn fill(encoder: &mut VideoEncoder, colour: [u16; 3]) {
    let format = encoder.format();
    let planes = encoder.planes_mut().unwrap();
    for (plane, samples) in planes.planes.into_iter().enumerate() {
        if format.bits() == 10 {
            samples.chunks_exact_mut(2).for_each(|sample| sample.copy_from_slice(&colour[plane].to_le_bytes()));
        } else if format == PixelFormat::Nv12 && plane == 1 {
            samples.chunks_exact_mut(2).for_each(|pair| pair.copy_from_slice(&[colour[1] as u8, colour[2] as u8]));
        } else {
            samples.fill(colour[plane] as u8);
        }
    }
}

fn round_trip(format: PixelFormat, colour: [u16; 3]) {
    let library = library();
    let options = [
        option("preset", "ultrafast"),
        option("tune", "zerolatency"),
        option("color_range", "pc"),
        option("colorspace", "bt709"),
        option("forced-idr", "1"),
    ];
    let mut encoder = VideoEncoder::open(&library, "libx264", &params(format), &options).unwrap();
    let mut decoder = VideoDecoder::open(&library, "h264", 1).unwrap();
    for number in 0..10 {
        fill(&mut encoder, colour);
        let kind = if number == 5 { PictureType::Key } else { PictureType::Auto };
        encoder.send(number, kind).unwrap();
        let packet = encoder.receive().unwrap().expect("no delay");
        assert_eq!((packet.pts, packet.key), (number, number % 5 == 0));
        decoder.send(packet.data).unwrap();
        let picture = decoder.receive().unwrap().expect("no delay");
        assert_eq!((picture.width, picture.height), (WIDTH as usize, HEIGHT as usize));
        assert!(picture.full_range);
        assert_eq!(picture.matrix, 1);
        let bytes = usize::from(picture.format.bits() / 9 + 1);
        for (plane, wanted) in colour.into_iter().enumerate() {
            let sample = &picture.planes[plane][..bytes];
            let sample = sample.iter().rev().fold(0u16, |value, byte| value << 8 | u16::from(*byte));
            assert!(sample.abs_diff(wanted) <= 2, "plane {plane}: {sample} for {wanted}");
        }
    }
    assert!(encoder.receive().unwrap().is_none());
}

#[test]
fn eight_bit_pictures_come_back() {
    for format in [PixelFormat::Nv12, PixelFormat::Yuv420, PixelFormat::Yuv444] {
        round_trip(format, [200, 90, 160]);
    }
}

#[test]
fn an_option_that_does_not_exist_is_named() {
    let error = VideoEncoder::open(&library(), "libx264", &params(PixelFormat::Yuv420), &[option("prest", "x")]);
    assert!(error.err().unwrap().to_string().starts_with("libx264 does not take prest=x"));
}

#[test]
fn an_encoder_that_does_not_exist_is_named() {
    let error = VideoEncoder::open(&library(), "libx999", &params(PixelFormat::Yuv420), &[]);
    assert!(error.err().unwrap().to_string().contains("no encoder libx999"));
}

#[test]
fn garbage_is_an_error_and_the_decoder_lives_on() {
    let mut decoder = VideoDecoder::open(&library(), "h264", 1).unwrap();
    for length in 1..200usize {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 31 + length) as u8).collect();
        let _ = decoder.send(&bytes);
        while let Ok(Some(_)) = decoder.receive() {}
    }
    decoder.reset();
}
