# What working on lumen needs: the package's own inputs, and the tools of scripts/test.
{
  lib,
  mkShell,
  lumen,
  cargo-deny,
  clippy,
  deadnix,
  mdbook,
  nixfmt,
  rust-analyzer,
  rustfmt,
  statix,
}:

mkShell {
  inputsFrom = [ lumen ];
  packages = [
    cargo-deny
    clippy
    deadnix
    mdbook
    nixfmt
    rust-analyzer
    rustfmt
    statix
  ];
  # What cargo builds here lacks the package's RUNPATH.
  env.LUMEN_FFMPEG_DIR = "${lib.getLib lumen.ffmpeg}/lib";
}
