# `nix run`: the host with the test card, in directories of its own.
{
  lumen,
  writeShellApplication,
  coreutils,
  gawk,
  iproute2,
}:

writeShellApplication {
  name = "lumen-demo";
  runtimeInputs = [
    coreutils
    gawk
    iproute2
    lumen
  ];
  text = builtins.readFile ./demo.sh;
  meta.description = "Starts the lumen host with the test card";
}
