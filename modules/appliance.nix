# services.lumen.appliance: a machine that does nothing else, keeps itself up to date, and takes back what does not work.
{
  config,
  lib,
  options,
  pkgs,
  utils,
  ...
}:

let
  inherit (lib)
    mkDefault
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    types
    ;

  cfg = config.services.lumen;
  inherit (cfg) appliance;
  inherit (appliance) upgrade;

  time = types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]";
  runtimeDir = "/run/user/${toString cfg.uid}";
  # Since NixOS 26.11.
  canCountBoots = (options.boot.loader.systemd-boot or { }) ? bootCounting;

  healthCheck = pkgs.writeShellApplication {
    name = "lumen-health";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.jq
      config.systemd.package
      cfg.package
    ];
    text = builtins.readFile ../nix/health.sh;
  };
  upgrader = pkgs.writeShellApplication {
    name = "lumen-upgrade";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.gnugrep
      pkgs.jq
      pkgs.util-linux
      pkgs.gitMinimal
      config.nix.package
      config.programs.ssh.package
      config.systemd.package
      config.system.build.nixos-rebuild
      cfg.package
    ];
    text = builtins.readFile ../nix/upgrade.sh;
  };
  # As system.autoUpgrade has them.
  source =
    if upgrade.flake != null then
      [
        "--refresh"
        "--flake"
        upgrade.flake
      ]
    else
      [
        "-I"
        "nixpkgs=${toString upgrade.channel}/nixexprs.tar.xz"
      ];
  upgradeService = {
    # It changes the system that it is part of, and has to live through that.
    restartIfChanged = false;
    unitConfig.X-StopOnRemoval = false;
    environment =
      config.nix.envVars
      // lib.optionalAttrs (config.environment.sessionVariables ? NIX_PATH) {
        inherit (config.environment.sessionVariables) NIX_PATH;
      }
      // config.networking.proxy.envVars
      // {
        HOME = "/root";
        LUMEN_UPGRADE_REBOOT = if upgrade.reboot then "yes" else "no";
      };
  };
in
{
  options.services.lumen.appliance = {
    enable = mkEnableOption "a machine that does nothing else: it streams from boot on before anybody logs in, has no display manager, and never sleeps";

    wakeOnLan.interfaces = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "enp3s0" ];
      description = ''
        Interfaces whose magic packet starts the machine: clients send one to a host that is off. The firmware must allow it as
        well.
      '';
    };

    health.timeout = mkOption {
      type = types.ints.between 10 3600;
      default = 180;
      example = 60;
      description = ''
        Seconds that a new system has until its host runs, stays up and answers; then `lumen doctor` must find nothing that keeps
        it from streaming.
      '';
    };

    upgrade = {
      enable = mkEnableOption "upgrades by themselves, in a window when nobody plays, and back to the system before if the host is not well afterwards";

      flake = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "git+https://example.org/machines#living-room";
        description = "Flake with the configuration of this machine, as `nixos-rebuild --flake` takes it. Either this or `channel`.";
      };

      channel = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "https://channels.nixos.org/nixos-26.05";
        description = "Address of the channel to upgrade from, for a machine with `/etc/nixos/configuration.nix`. Either this or `flake`.";
      };

      flags = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "--recreate-lock-file"
          "--no-write-lock-file"
        ];
        description = "Further arguments of `nixos-rebuild build`.";
      };

      window = {
        from = mkOption {
          type = time;
          default = "04:00";
          example = "09:30";
          description = "Time of day from which the machine may be upgraded.";
        };
        until = mkOption {
          type = time;
          default = "06:00";
          example = "16:00";
          description = ''
            Time of day from which it may no longer. While somebody plays it looks again every five minutes, and leaves the upgrade to
            the next window when this one ends.
          '';
        };
      };

      reboot = mkOption {
        type = types.bool;
        default = true;
        example = false;
        description = ''
          Whether to restart the machine, in the window and when nobody plays, for a system with another kernel or other drivers.
          Without it such a system is used from the next start on.
        '';
      };
    };
  };

  config = mkIf (cfg.enable && appliance.enable) (mkMerge [
    {
      assertions = [
        {
          assertion = !(config.services.greetd.enable or false);
          message = "services.lumen.appliance has no login screen, but services.greetd.enable is true: remove that line, or services.lumen.appliance.enable.";
        }
        {
          assertion = upgrade.enable -> (upgrade.flake != null) != (upgrade.channel != null);
          message = "services.lumen.appliance.upgrade needs to know from where: set either flake or channel.";
        }
        {
          assertion = upgrade.enable -> !(config.system.autoUpgrade.enable or false);
          message = "services.lumen.appliance.upgrade and system.autoUpgrade would both upgrade this machine, the latter during games too: remove system.autoUpgrade.enable.";
        }
        {
          assertion = upgrade.enable -> config.nix.enable or true;
          message = "services.lumen.appliance.upgrade needs Nix, but nix.enable is false: remove that line, or switch the upgrades off.";
        }
        {
          assertion = upgrade.window.from != upgrade.window.until;
          message = "services.lumen.appliance.upgrade.window is empty: from and until are both ${upgrade.window.from}.";
        }
      ];

      services.displayManager.enable = lib.mkForce false;
      services.logind.settings.Login =
        lib.genAttrs [
          "HandleLidSwitch"
          "HandleLidSwitchDocked"
          "HandleLidSwitchExternalPower"
          "HandleSuspendKey"
          "HandleHibernateKey"
          "IdleAction"
        ] (_: mkDefault "ignore")
        // {
          HandlePowerKey = mkDefault "poweroff";
        };
      systemd.targets =
        lib.genAttrs
          [
            "sleep"
            "suspend"
            "hibernate"
            "hybrid-sleep"
            "suspend-then-hibernate"
          ]
          (_: {
            enable = false;
          });
      boot.kernelParams = [ "consoleblank=0" ];

      networking.interfaces = lib.genAttrs appliance.wakeOnLan.interfaces (_: {
        wakeOnLan.enable = true;
      });
      networking.firewall.enable = mkDefault true;
      services.lumen.openFirewall = mkDefault (cfg.firewallInterfaces == [ ]);

      systemd.services.lumen-health = {
        description = "Whether the host of this system is well";
        after = [ "lumen.service" ];
        # A boot is good when the host is: systemd-boot counts the tries of those that are not known to be.
        requiredBy = [ "boot-complete.target" ];
        before = [ "boot-complete.target" ];
        environment = {
          XDG_RUNTIME_DIR = runtimeDir;
          DBUS_SESSION_BUS_ADDRESS = "unix:path=${runtimeDir}/bus";
          # Those of the service.
          LUMEN_STATE_DIR = "/var/lib/lumen";
          LUMEN_RUNTIME_DIR = "/run/lumen";
        };
        # With those of the service, in lumen.nix.
        enableDefaultPath = false;
        serviceConfig = {
          Type = "oneshot";
          User = cfg.user;
          ExecStart = utils.escapeSystemdExecArgs [
            (lib.getExe healthCheck)
            (toString appliance.health.timeout)
          ];
          TimeoutStartSec = appliance.health.timeout + 240;
        };
      };
    }

    (lib.optionalAttrs canCountBoots {
      boot.loader.systemd-boot.bootCounting.enable = mkDefault config.boot.loader.systemd-boot.enable;
    })

    (mkIf upgrade.enable {
      # Builds leave the processors to whoever comes to play.
      nix.daemonCPUSchedPolicy = mkDefault "idle";
      nix.daemonIOSchedClass = mkDefault "idle";

      systemd.services.lumen-upgrade = upgradeService // {
        description = "Upgrade of this machine, when nobody plays";
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        serviceConfig = {
          Type = "oneshot";
          StateDirectory = "lumen-upgrade";
          ExecStart = utils.escapeSystemdExecArgs (
            [
              (lib.getExe upgrader)
              "run"
              upgrade.window.from
              upgrade.window.until
            ]
            ++ source
            ++ upgrade.flags
          );
          Nice = 19;
          IOSchedulingClass = "idle";
        };
      };
      systemd.timers.lumen-upgrade = {
        description = "When this machine may be upgraded";
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnCalendar = "*-*-* ${upgrade.window.from}:00";
          # One that starts within its window looks then; outside of it nothing happens.
          Persistent = true;
        };
      };
      systemd.services.lumen-upgrade-confirm = upgradeService // {
        description = "Whether the system that this machine was started for is well, or the one before is to be taken";
        wantedBy = [ "multi-user.target" ];
        after = [ "lumen.service" ];
        unitConfig = upgradeService.unitConfig // {
          ConditionPathExists = "/var/lib/lumen-upgrade/trying";
        };
        serviceConfig = {
          Type = "oneshot";
          StateDirectory = "lumen-upgrade";
          ExecStart = utils.escapeSystemdExecArgs [
            (lib.getExe upgrader)
            "confirm"
          ];
        };
      };
    })
  ]);
}
