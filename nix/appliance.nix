# The machine of the images: any PC with UEFI, its disk found by labels, administered through SSH. For one of your own,
# take it as it is and say more, or take only what you like: services.lumen.appliance does not need it.
{
  config,
  lib,
  ...
}:

let
  inherit (lib) mkDefault;
in
{
  services.lumen = {
    enable = true;
    appliance.enable = true;
    # Mesa: whatever is in the machine and not NVIDIA's, whose driver is not free and so is for the owner to choose.
    gpu = mkDefault "amd";
    sessions = mkDefault [
      "sway"
      "gamescope"
    ];
  };

  networking.hostName = mkDefault "lumen";
  networking.useDHCP = mkDefault true;

  # As nix/install.sh and the disk image make them.
  fileSystems."/" = {
    device = mkDefault "/dev/disk/by-label/nixos";
    fsType = mkDefault "ext4";
    autoResize = mkDefault true;
  };
  fileSystems."/boot" = {
    device = mkDefault "/dev/disk/by-label/ESP";
    fsType = mkDefault "vfat";
    options = mkDefault [ "umask=0077" ];
  };
  boot.growPartition = mkDefault true;
  boot.loader.systemd-boot.enable = mkDefault true;
  boot.loader.systemd-boot.configurationLimit = mkDefault 10;
  # Found by the path that all firmware knows: the disk may move to another machine.
  boot.loader.efi.canTouchEfiVariables = mkDefault false;
  boot.loader.timeout = mkDefault 3;
  hardware.enableAllHardware = mkDefault true;
  hardware.enableRedistributableFirmware = mkDefault true;

  # Nobody has a password. Whoever has a key in /root/.ssh/authorized_keys may come in, and whoever sits at the machine may
  # pair clients: by `lumen pair` on its console, as the user of the host, who may do nothing to the system.
  services.openssh = {
    enable = mkDefault true;
    settings = {
      PasswordAuthentication = mkDefault false;
      KbdInteractiveAuthentication = mkDefault false;
      PermitRootLogin = mkDefault "prohibit-password";
    };
  };
  services.getty.autologinUser = mkDefault config.services.lumen.user;
  services.getty.helpLine = mkDefault "lumen: pair a client with 'lumen pair', look with 'lumen status'.";
  environment.variables.LUMEN_RUNTIME_DIR = mkDefault "/run/lumen";

  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
  nix.gc = {
    automatic = mkDefault true;
    options = mkDefault "--delete-older-than 30d";
  };

  nixpkgs.hostPlatform = mkDefault "x86_64-linux";
  system.stateVersion = mkDefault "26.05";

  image.modules.raw-efi.image.baseName = lib.mkForce "lumen-appliance";
}
