# The installation medium: boots from a stick, holds the whole appliance, and puts it onto a disk without a network.
# `system` is the toplevel of the appliance.
{ system }:
{
  config,
  lib,
  pkgs,
  ...
}:

let
  install = pkgs.writeShellApplication {
    name = "lumen-install";
    runtimeInputs = [
      config.system.build.nixos-install
      config.systemd.package
      pkgs.coreutils
      pkgs.dosfstools
      pkgs.e2fsprogs
      pkgs.gnugrep
      pkgs.util-linux
    ];
    runtimeEnv = {
      SYSTEM = "${system}";
      FILES = "${./template}";
    };
    text = builtins.readFile ./install.sh;
  };
in
{
  environment.systemPackages = [ install ];
  services.getty.helpLine = lib.mkForce "Type 'sudo lumen-install' to see the disks of this machine, and what it does to them.";

  isoImage.storeContents = [ system ];
  isoImage.volumeID = "LUMEN";
  image.baseName = lib.mkForce "lumen-installer";

  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
}
