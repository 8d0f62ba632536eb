# A machine that streams and does nothing else. Change what is marked, then: nixos-rebuild switch --flake /etc/nixos
{
  inputs.lumen.url = "github:lumen-stream/lumen";

  outputs =
    { lumen, ... }:
    {
      # The name of the machine; `nixos-rebuild` looks for it.
      nixosConfigurations.lumen = lumen.inputs.nixpkgs.lib.nixosSystem {
        modules = [
          lumen.nixosModules.appliance
          {
            networking.hostName = "lumen";

            # Who may administer it.
            # users.users.root.openssh.authorizedKeys.keys = [ "ssh-ed25519 …" ];

            # For NVIDIA, whose driver is not free:
            # services.lumen.gpu = "nvidia";
            # nixpkgs.config.allowUnfree = true;

            # Its interface, as `ip link` names it: clients can then start the machine.
            # services.lumen.appliance.wakeOnLan.interfaces = [ "enp3s0" ];

            services.lumen.appliance.upgrade = {
              enable = true;
              flake = "/etc/nixos";
              # The newest lumen, and the NixOS that it was checked with.
              flags = [
                "--recreate-lock-file"
                "--no-write-lock-file"
              ];
            };

            # services.lumen.settings.apps = [ { name = "Desk"; display = "wlroots"; command = [ "foot" ]; } ];
          }
        ];
      };
    };
}
