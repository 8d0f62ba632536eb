# The host in a container, as a script that writes the image: `nix build .#oci-image && ./result | podman load`. The same
# as src/lumen-host/container/Containerfile makes on Debian: an ordinary user, no privileges, sway and PipeWire inside.
{
  lib,
  dockerTools,
  writeTextDir,
  bashInteractive,
  cacert,
  coreutils,
  dbus,
  dejavu_fonts,
  foot,
  makeFontsConf,
  pipewire,
  sway,
  tini,
  wireplumber,
  lumen,
}:

dockerTools.streamLayeredImage {
  name = "localhost/lumen";
  tag = lumen.version;

  contents = [
    lumen
    bashInteractive
    cacert
    coreutils
    dbus
    foot
    pipewire
    sway
    wireplumber
    dockerTools.binSh
    (writeTextDir "etc/passwd" ''
      root:x:0:0:root:/root:/bin/bash
      lumen:x:1000:1000:lumen:/var/lib/lumen:/bin/bash
    '')
    (writeTextDir "etc/group" ''
      root:x:0:
      lumen:x:1000:
    '')
    (writeTextDir "etc/lumen/lumen.toml" (builtins.readFile ../src/lumen-host/container/lumen.toml))
  ];

  fakeRootCommands = ''
    mkdir -p var/lib/lumen tmp
    chown 1000:1000 var/lib/lumen
    chmod 0700 var/lib/lumen
    chmod 1777 tmp
  '';

  config = {
    Entrypoint = [
      (lib.getExe tini)
      "--"
      (lib.getExe lumen)
    ];
    Cmd = [ "serve" ];
    User = "1000:1000";
    WorkingDir = "/var/lib/lumen";
    Env = [
      "FONTCONFIG_FILE=${makeFontsConf { fontDirectories = [ dejavu_fonts ]; }}"
      "HOME=/var/lib/lumen"
      "LANG=C.UTF-8"
      "LUMEN_RUNTIME_DIR=/tmp/lumen"
      "LUMEN_STATE_DIR=/var/lib/lumen/state"
      "PATH=/bin"
      "SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
    ];
    Volumes."/var/lib/lumen" = { };
    ExposedPorts = lib.genAttrs [
      "47984/tcp"
      "47989/tcp"
      "48010/tcp"
      "47998/udp"
      "47999/udp"
      "48000/udp"
    ] (_port: { });
    StopSignal = "SIGTERM";
  };
}
