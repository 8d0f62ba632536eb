# The host, and its client as an output of its own, in the shape that nixpkgs takes.
{
  lib,
  stdenv,
  rustPlatform,
  cmake,
  installShellFiles,
  nasm,
  pkg-config,
  versionCheckHook,
  writableTmpDirAsHomeHook,
  ffmpeg-headless,
  openssl,
  pipewire,
}:

rustPlatform.buildRustPackage {
  # nixpkgs has another program called lumen.
  pname = "lumen-host";
  inherit ((lib.importTOML ../Cargo.toml).workspace.package) version;

  __structuredAttrs = true;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../rustfmt.toml
      # Sources, and the protocol vectors that the tests include. The fuzz targets are a workspace of their own.
      (lib.fileset.difference ../src (lib.fileset.maybeMissing ../src/lumen-core/fuzz))
      # Pages that the program prints; tests compare them.
      ../docs/src/reference
      # Vectors of lumen/1, which are published with its description.
      ../docs/protocol
    ];
  };

  # All dependencies come from the registry with checksums in the lock: no hash is kept here.
  cargoLock.lockFile = ../Cargo.lock;

  outputs = [
    "out"
    "client"
  ];

  nativeBuildInputs = [
    cmake # libopus, bundled by opusic-sys
    installShellFiles
    pkg-config
    rustPlatform.bindgenHook # the bindings of libpipewire are made from its headers
  ]
  ++ lib.optionals stdenv.hostPlatform.isx86 [
    nasm # OpenH264, bundled by openh264-sys2; without it the encoder has no SIMD
  ];
  dontUseCmakeConfigure = true;

  buildInputs = [
    openssl
    pipewire
  ];

  nativeCheckInputs = [ writableTmpDirAsHomeHook ];

  # Tests that need a desktop, a session bus or the kernel's input devices are for scripts/test: here are those of the
  # programs, the protocol and its vectors.
  cargoTestFlags = [
    "--workspace"
    "--lib"
    "--bins"
    "--test=vectors_*"
    "--test=*_properties"
    "--test=reference"
  ];

  # The tests of FFmpeg's rooms fail where there is none, on purpose. Test binaries have no RUNPATH yet.
  preCheck = ''
    export LUMEN_FFMPEG_DIR=${lib.getLib ffmpeg-headless}/lib
  '';

  # The rule is for services.udev.packages: gamepads of a session reach that session only. By the desktop file the KWin
  # of a Plasma session knows the program.
  postInstall = ''
    moveToOutput bin/lumen-client "$client"
    install -Dm444 -t "$out/lib/udev/rules.d" src/lumen-host/share/60-lumen.rules
    install -Dm644 src/lumen-host/share/lumen.desktop -t "$out/share/applications"
    substituteInPlace "$out/share/applications/lumen.desktop" --replace-fail /usr/bin/lumen "$out/bin/lumen"
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      "$out/bin/lumen" completions "$shell" > "lumen.$shell"
    done
    installShellCompletion --cmd lumen lumen.{bash,fish,zsh}
    "$out/bin/lumen" man > lumen.1
    installManPage lumen.1
  '';

  # FFmpeg is loaded by dlopen, which looks into the RUNPATH of its caller. A wrapper that sets LD_LIBRARY_PATH would
  # leak it into every program that the host starts. Added after fixup, which drops paths that no linked library needs.
  # Headless: encoders and decoders are all that is used of it, no windows.
  postFixup = ''
    patchelf --add-rpath ${
      lib.makeLibraryPath [ ffmpeg-headless ]
    } "$out/bin/lumen" "$client/bin/lumen-client"
  '';

  doInstallCheck = true;
  nativeInstallCheckInputs = [ versionCheckHook ];

  # For the development shell.
  passthru.ffmpeg = ffmpeg-headless;

  meta = {
    description = "Streams desktops and games to Moonlight clients";
    homepage = (lib.importTOML ../Cargo.toml).workspace.package.repository;
    license = with lib.licenses; [
      mit # or
      asl20
    ];
    mainProgram = "lumen";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
