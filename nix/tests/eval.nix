# What services.lumen makes of configurations, and what it says against wrong ones. The options of NixOS that it sets are
# stubs here: whether they exist is for an evaluation with all of nixpkgs.
#
#   nix-instantiate --eval --strict -E "import nix/tests/eval.nix { }"     # what does not hold; [ ] is right
#   nix-instantiate --eval --strict -E "import nix/tests/eval.nix { lib = import <nixpkgs/lib>; }"
{
  lib ? import ./lib.nix,
}:

let
  inherit (lib) mkOption types;

  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/${name}";
    drvPath = "/nix/store/${name}.drv";
    outputName = "out";
    meta.mainProgram = name;
  };
  pkgs = {
    lumen-host = package "lumen";
    kdePackages.kwin = package "kwin";
    formats.toml = _: {
      type = types.anything;
      generate = name: value: package name // { inherit value; };
    };
    # The file that was checked is the file that was written.
    runCommand =
      name: arguments: script:
      package name // { inherit script; } // arguments.passthru or { };
    writeShellApplication = { name, ... }@application: package name // application;
    stdenv.hostPlatform.isx86_64 = true;
  }
  // lib.genAttrs [
    "coreutils"
    "dbus"
    "foot"
    "gamescope"
    "gitMinimal"
    "gnugrep"
    "jq"
    "util-linux"
    "intel-media-driver"
    "mutter"
    "sway"
    "vpl-gpu-rt"
  ] package;
  utils.escapeSystemdExecArgs = lib.concatStringsSep " ";

  stub =
    type: default:
    mkOption {
      inherit type default;
    };
  set = stub (types.attrsOf types.anything) { };
  ports = stub (types.listOf types.port) [ ];
  stubs.options = {
    assertions = stub (types.listOf types.unspecified) [ ];
    warnings = stub (types.listOf types.str) [ ];
    boot.kernelModules = stub (types.listOf types.str) [ ];
    boot.kernelParams = stub (types.listOf types.str) [ ];
    boot.loader.systemd-boot = {
      enable = stub types.bool true;
      bootCounting.enable = stub types.bool false;
    };
    environment.etc = set;
    environment.sessionVariables = set;
    environment.systemPackages = stub (types.listOf types.package) [ ];
    hardware = set;
    meta = set;
    nix = {
      enable = stub types.bool true;
      package = stub types.package (package "nix");
      envVars = set;
      daemonCPUSchedPolicy = stub types.str "other";
      daemonIOSchedClass = stub types.str "best-effort";
    };
    networking.interfaces = set;
    networking.proxy.envVars = set;
    programs.ssh.package = stub types.package (package "openssh");
    networking.firewall = {
      enable = stub types.bool true;
      allowedTCPPorts = ports;
      allowedUDPPorts = ports;
      interfaces = set;
    };
    security = set;
    services.displayManager = set;
    services.logind = set;
    services.pipewire = set;
    services.udev.packages = stub (types.listOf types.package) [ ];
    services.xserver.videoDrivers = stub (types.listOf types.str) [ ];
    services.greetd = set;
    system.autoUpgrade = set;
    system.build.nixos-rebuild = stub types.package (package "nixos-rebuild");
    systemd.package = stub types.package (package "systemd");
    systemd.services = set;
    systemd.targets = set;
    systemd.timers = set;
    users.groups = set;
    users.users = set;
  };

  evaluated =
    configuration:
    (lib.evalModules {
      modules = [
        ../../modules/lumen.nix
        stubs
        { config = configuration; }
      ];
      specialArgs = { inherit pkgs utils; };
    }).config;
  with' =
    lumen:
    evaluated {
      services.lumen = {
        enable = true;
      }
      // lumen;
    };

  # What is wrong with a configuration, as NixOS would print it.
  complaints =
    configuration:
    map (one: one.message) (lib.filter (one: !one.assertion) (evaluated configuration).assertions);
  complains =
    text: configuration:
    lib.any (message: builtins.match ".*${text}.*" message != null) (complaints configuration);
  refuses = configuration: !(builtins.tryEval (builtins.deepSeq configuration configuration)).success;

  firewall = config: {
    tcp = config.networking.firewall.allowedTCPPorts;
    udp = config.networking.firewall.allowedUDPPorts;
  };
  unit = config: config.systemd.services.lumen;
  debian = lib.filter builtins.isString (
    builtins.split "\n" (builtins.readFile ../../src/lumen-host/share/lumen.service)
  );
  # What goes into lumen.toml.
  written = config: config.environment.etc."lumen/lumen.toml".source.settings;
  plain = with' { };
  many = with' {
    openFirewall = true;
    sessions = [
      "kwin"
      "mutter"
    ];
    settings = {
      name = "living room";
      stream.max_sessions = 2;
      apps = [
        {
          name = "Desktop";
          display = "kwin";
        }
      ];
    };
    pairedClients.tv.fingerprint = "7c2f0d9a1b3e4f5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c";
  };

  appliance = more: {
    services.lumen = {
      enable = true;
      appliance = {
        enable = true;
      }
      // more;
    };
  };
  upgrading = evaluated (appliance {
    upgrade = {
      enable = true;
      flake = "example#box";
      flags = [ "--recreate-lock-file" ];
      window.until = "16:30";
    };
  });
  key = builtins.readFile ./key.pem;

  holds = {
    "disabled, it changes nothing" =
      let
        config = evaluated { };
      in
      config.systemd.services == { }
      && config.users.users == { }
      && config.assertions == [ ]
      &&
        firewall config == {
          tcp = [ ];
          udp = [ ];
        };
    "enabled, one switch is all" =
      (unit plain).serviceConfig.User == "lumen"
      && (unit plain).serviceConfig.ExecStart == "/nix/store/lumen/bin/lumen serve"
      && plain.users.users.lumen.uid == 1964
      && plain.users.users.lumen.linger
      && plain.services.pipewire.enable
      && complaints { services.lumen.enable = true; } == [ ];
    "enabled, no port is open" =
      firewall plain == {
        tcp = [ ];
        udp = [ ];
      };
    "no group gives access to all input devices" =
      !lib.elem "input" plain.users.users.lumen.extraGroups;
    "without a GPU, no access to one" = !lib.elem "render" plain.users.users.lumen.extraGroups;
    "the unit is that of the Debian package" =
      let
        known = builtins.removeAttrs (unit plain).serviceConfig [ "ExecStart" ];
        written = name: lib.filter (line: builtins.match "${name}=.*" line != null) debian;
        show = value: if builtins.isBool value then (if value then "true" else "false") else toString value;
        # A list is a line for each.
        lines =
          name:
          map (value: "${name}=${show value}") (
            if builtins.isList known.${name} then known.${name} else [ known.${name} ]
          );
      in
      lib.all (name: written name == lines name) (lib.attrNames known)
      # And has nothing more: these are its own.
      &&
        builtins.length (lib.filter (line: builtins.match "[A-Z][A-Za-z]*=.*" line != null) debian)
        == builtins.length (lib.concatMap lines (lib.attrNames known))
        + builtins.length (
          lib.concatMap written [
            "Description"
            "Documentation"
            "Wants"
            "After"
            "ExecStart"
            "WantedBy"
          ]
        )
      && written "Description" == [ "Description=${(unit plain).description}" ];
    "a restart keeps sessions" =
      (unit plain).serviceConfig.RestartKillSignal == "SIGUSR2"
      # NixOS stops and starts what changed, unless it is told to restart it.
      && !(unit plain).stopIfChanged
      && (unit plain).serviceConfig.KillMode == "mixed"
      # Nothing that a stop takes from programs that go on.
      && !((unit plain).serviceConfig ? RemoveIPC)
      && (unit plain).serviceConfig.RuntimeDirectoryPreserve == "restart";
    "sessions may have what the sandbox denies to the daemon" =
      plain.systemd.services."user@1964".serviceConfig.LimitRTPRIO == 20
      && (unit plain).serviceConfig.RestrictRealtime;
    "openFirewall opens what clients need" =
      firewall (with' {
        openFirewall = true;
      }) == {
        tcp = [
          47984
          47989
          48010
        ];
        udp = [
          47998
          47999
          48000
          5353
        ];
      };
    "ports follow settings.port, and discovery settings.mdns" =
      firewall (with' {
        openFirewall = true;
        settings = {
          port = 50000;
          mdns = false;
        };
      }) == {
        tcp = [
          49995
          50000
          50021
        ];
        udp = [
          50009
          50010
          50011
        ];
      };
    "the port of QUIC follows settings.quic" =
      lib.elem 47984 (firewall (with' {
        openFirewall = true;
        settings.quic = true;
      })).udp;
    "one interface is open, the others not" =
      let
        config = with' { firewallInterfaces = [ "enp3s0" ]; };
      in
      (firewall config).tcp == [ ]
      && lib.elem 47989 config.networking.firewall.interfaces.enp3s0.allowedTCPPorts;
    "compositors of sessions are on the path" =
      lib.elem pkgs.kdePackages.kwin (unit many).path
      && lib.elem pkgs.mutter (unit many).path
      && !lib.elem pkgs.sway (unit many).path;
    "an ordinary user can be named" =
      let
        config = evaluated {
          users.users.ada = {
            isNormalUser = true;
            uid = 1000;
          };
          services.lumen = {
            enable = true;
            user = "ada";
            uid = 1000;
          };
        };
      in
      lib.filter (one: !one.assertion) config.assertions == [ ]
      && (unit config).serviceConfig.User == "ada"
      && (unit config).environment.XDG_RUNTIME_DIR == "/run/user/1000"
      && config.users.users.ada.linger
      && !(config.users.users ? lumen);
    "NVIDIA brings its driver" =
      let
        config = with' { gpu = "nvidia"; };
      in
      config.services.xserver.videoDrivers == [ "nvidia" ]
      && config.hardware.nvidia.open
      && config.hardware.graphics.enable
      && lib.elem "render" config.users.users.lumen.extraGroups;
    "Intel brings its encoder" =
      lib.elem pkgs.vpl-gpu-rt
        (with' { gpu = "intel"; }).hardware.graphics.extraPackages;
    "an appliance is open, awake and without a login screen" =
      let
        config = with' { appliance.enable = true; };
      in
      lib.elem 47989 (firewall config).tcp
      && !config.services.displayManager.enable
      && lib.all (name: !config.systemd.targets.${name}.enable) [
        "sleep"
        "suspend"
        "hibernate"
        "hybrid-sleep"
        "suspend-then-hibernate"
      ]
      && config.services.logind.settings.Login.HandleLidSwitchDocked == "ignore"
      && config.services.logind.settings.Login.IdleAction == "ignore"
      && lib.elem "consoleblank=0" config.boot.kernelParams
      && config.networking.firewall.enable;
    "without the appliance, none of it" =
      plain.systemd.targets == { }
      && plain.systemd.timers == { }
      && plain.networking.interfaces == { }
      && plain.boot.kernelParams == [ ]
      && !(plain.systemd.services ? lumen-health);
    "the appliance without the host changes nothing" =
      (evaluated { services.lumen.appliance.enable = true; }).systemd.services == { };
    "an appliance wakes by its interfaces" =
      (with' {
        appliance = {
          enable = true;
          wakeOnLan.interfaces = [ "enp3s0" ];
        };
      }).networking.interfaces == {
        enp3s0.wakeOnLan.enable = true;
      };
    "a boot is good when the host is well" =
      let
        config = with' { appliance.enable = true; };
        health = config.systemd.services.lumen-health;
      in
      config.boot.loader.systemd-boot.bootCounting.enable
      && health.requiredBy == [ "boot-complete.target" ]
      && health.before == health.requiredBy
      # The devices, the session bus and the socket that the host has.
      && health.serviceConfig.User == "lumen"
      && health.environment.LUMEN_RUNTIME_DIR == "/run/lumen"
      && health.environment.DBUS_SESSION_BUS_ADDRESS == (unit config).environment.DBUS_SESSION_BUS_ADDRESS
      && health.path == (unit config).path
      && health.serviceConfig.ExecStart == "/nix/store/lumen-health/bin/lumen-health 180"
      && health.serviceConfig.TimeoutStartSec > 180;
    "upgrades are off unless asked for" =
      !((with' { appliance.enable = true; }).systemd.services ? lumen-upgrade);
    "upgrades live through what they change" =
      lib.all
        (
          name:
          let
            service = upgrading.systemd.services.${name};
          in
          !service.restartIfChanged
          && !service.unitConfig.X-StopOnRemoval
          && service.serviceConfig.StateDirectory == "lumen-upgrade"
        )
        [
          "lumen-upgrade"
          "lumen-upgrade-confirm"
        ];
    "upgrades come from where they are told, in their window" =
      upgrading.systemd.services.lumen-upgrade.serviceConfig.ExecStart
      == "/nix/store/lumen-upgrade/bin/lumen-upgrade run 04:00 16:30 --refresh --flake example#box --recreate-lock-file"
      && upgrading.systemd.timers.lumen-upgrade.timerConfig.OnCalendar == "*-*-* 04:00:00"
      && upgrading.systemd.services.lumen-upgrade.environment.LUMEN_UPGRADE_REBOOT == "yes";
    "a channel is an address" =
      builtins.match ".* -I nixpkgs=https://example.org/c/nixexprs.tar.xz"
        (with' {
          appliance = {
            enable = true;
            upgrade = {
              enable = true;
              channel = "https://example.org/c";
              reboot = false;
            };
          };
        }).systemd.services.lumen-upgrade.serviceConfig.ExecStart != null;
    "a new system is looked at after a restart, where one is tried" =
      let
        confirm = upgrading.systemd.services.lumen-upgrade-confirm;
      in
      confirm.unitConfig.ConditionPathExists == "/var/lib/lumen-upgrade/trying"
      && confirm.wantedBy == [ "multi-user.target" ];
    "an appliance with all of it has no complaint" =
      lib.filter (one: !one.assertion) upgrading.assertions == [ ] && upgrading.warnings == [ ];
    "upgrades from nowhere or from two places are refused" =
      complains "set either flake or channel" (appliance {
        upgrade.enable = true;
      })
      && complains "set either flake or channel" (appliance {
        upgrade = {
          enable = true;
          flake = "a";
          channel = "b";
        };
      });
    "two that upgrade are refused" = complains "remove system.autoUpgrade.enable" (
      appliance {
        upgrade = {
          enable = true;
          flake = "a";
        };
      }
      // {
        system.autoUpgrade.enable = true;
      }
    );
    "upgrades without Nix are refused" = complains "nix.enable is false" (
      appliance {
        upgrade = {
          enable = true;
          flake = "a";
        };
      }
      // {
        nix.enable = false;
      }
    );
    "a window without a time in it is refused" = complains "window is empty" (appliance {
      upgrade.window = {
        from = "05:00";
        until = "05:00";
      };
    });
    "a login screen on an appliance is refused" = complains "services.greetd.enable is true" (
      lib.recursiveUpdate (appliance { }) { services.greetd.enable = true; }
    );
    "a time must be one" =
      refuses
        (with' { appliance.upgrade.window.from = "24:10"; }).services.lumen.appliance.upgrade.window;

    "a token reaches the service as a credential, and only its path the store" =
      let
        config = with' {
          adminTokenFile = "/var/lib/secrets/token";
          settings.admin.listen = "127.0.0.1:47980";
        };
      in
      (unit config).serviceConfig.LoadCredential == [ "admin-token:/var/lib/secrets/token" ]
      && lib.filter (one: !one.assertion) config.assertions == [ ]
      && !((unit plain).serviceConfig ? LoadCredential);
    "console and metrics are off unless asked for" =
      !(written plain ? web) && !(written plain ? metrics) && !(written plain ? grants);
    "console and metrics listen on this machine alone, with tokens as credentials" =
      let
        config = with' {
          web = {
            enable = true;
            tokenFile = "/var/lib/secrets/web";
            names = [ "den.example" ];
          };
          metrics = {
            enable = true;
            tokenFile = "/var/lib/secrets/metrics";
          };
        };
      in
      (written config).web == {
        listen = "127.0.0.1:47990";
        token_file = "/run/credentials/lumen.service/web-token";
        names = [ "den.example" ];
      }
      &&
        (written config).metrics == {
          listen = "127.0.0.1:9464";
          token_file = "/run/credentials/lumen.service/metrics-token";
        }
      &&
        (unit config).serviceConfig.LoadCredential == [
          "web-token:/var/lib/secrets/web"
          "metrics-token:/var/lib/secrets/metrics"
        ]
      && (firewall config).tcp == [ ]
      && lib.filter (one: !one.assertion) config.assertions == [ ];
    "a console without a file has the token that the service makes" =
      (written (with' {
        web.enable = true;
      })).web == {
        listen = "127.0.0.1:47990";
      };
    "console and metrics are opened where that is said, and only there" =
      let
        open =
          more:
          {
            web = {
              enable = true;
              address = "::";
              openFirewall = true;
            };
            metrics = {
              enable = true;
              address = "0.0.0.0";
              tokenFile = "/var/lib/secrets/metrics";
              openFirewall = true;
            };
          }
          // more;
        everywhere = with' (open { });
        lan = with' (open {
          firewallInterfaces = [ "lan" ];
        });
      in
      (firewall everywhere).tcp == [
        47990
        9464
      ]
      && (written everywhere).web.listen == "[::]:47990"
      && (firewall lan).tcp == [ ]
      && lib.elem 9464 lan.networking.firewall.interfaces.lan.allowedTCPPorts
      && lib.filter (one: !one.assertion) everywhere.assertions == [ ];
    "grants are written, for all and for one client" =
      let
        config = with' {
          grants.input = [ "gamepad" ];
          grants.clipboard = false;
          pairedClients.tv = {
            fingerprint = "7c2f0d9a1b3e4f5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c";
            input = [ ];
            apps = [ "Steam" ];
            microphone = true;
          };
        };
        tv = builtins.head (written config).clients;
      in
      (written config).grants == {
        input = [ "gamepad" ];
        clipboard = false;
      }
      && tv.input == [ ]
      && tv.apps == [ "Steam" ]
      && tv.microphone
      && !(tv ? clipboard)
      && lib.filter (one: !one.assertion) config.assertions == [ ];
    "a device that there is not is refused" =
      refuses
        (with' { grants.input = [ "camera" ]; }).services.lumen.grants.input;
    "metrics for everybody are refused" = complains "set services.lumen.metrics.tokenFile" {
      services.lumen = {
        enable = true;
        metrics = {
          enable = true;
          address = "0.0.0.0";
        };
      };
    };
    "a firewall that is opened for nobody is named" =
      complains "services.lumen.web.openFirewall opens a port where nobody listens" {
        services.lumen = {
          enable = true;
          web = {
            enable = true;
            openFirewall = true;
          };
        };
      }
      && complains "services.lumen.metrics.openFirewall opens a port where nobody listens" {
        services.lumen = {
          enable = true;
          metrics.openFirewall = true;
        };
      };
    "tokens of console and metrics in the store, or read by nobody, are refused" =
      complains "services.lumen.web.tokenFile lies in the store" {
        services.lumen = {
          enable = true;
          web = {
            enable = true;
            tokenFile = "/nix/store/abc-token";
          };
        };
      }
      && complains "services.lumen.metrics.tokenFile is read by nobody" {
        services.lumen = {
          enable = true;
          metrics.tokenFile = "/var/lib/secrets/metrics";
        };
      };
    "console, metrics and grants among the settings are refused" =
      lib.all
        (
          name:
          complains "set it by services.lumen.${name}" {
            services.lumen = {
              enable = true;
              settings.${name} = { };
            };
          }
        )
        [
          "web"
          "metrics"
          "grants"
        ];
    "one port for two is refused" = complains "are both 9464" {
      services.lumen = {
        enable = true;
        web = {
          enable = true;
          port = 9464;
        };
        metrics.enable = true;
      };
    };
    "a token in the store is refused" =
      complains "adminTokenFile lies in the store" {
        services.lumen = {
          enable = true;
          adminTokenFile = "/nix/store/abc-token";
          settings.admin.listen = "127.0.0.1:47980";
        };
      }
      && complains "token_file lies in the store" {
        services.lumen = {
          enable = true;
          settings.admin = {
            listen = "127.0.0.1:47980";
            token_file = "/nix/store/abc-token";
          };
        };
      };
    # A path literal would be copied there.
    "a token itself, or a path literal, is refused" =
      refuses
        (with' { adminTokenFile = "5d41402abc4b2a76b9719d911017c592"; }).services.lumen.adminTokenFile
      && refuses (with' { adminTokenFile = ./eval.nix; }).services.lumen.adminTokenFile;
    "a token that nobody reads is named" = complains "without services.lumen.settings.admin.listen" {
      services.lumen = {
        enable = true;
        adminTokenFile = "/var/lib/secrets/token";
      };
    };
    "two tokens are refused" = complains "both name the token" {
      services.lumen = {
        enable = true;
        adminTokenFile = "/var/lib/secrets/token";
        settings.admin = {
          listen = "127.0.0.1:47980";
          token_file = "/somewhere/else";
        };
      };
    };
    "a private key in a client, or anywhere in settings, is refused" =
      complains "a private key" {
        services.lumen = {
          enable = true;
          pairedClients.tv.certificate = key;
        };
      }
      && complains "a private key" {
        services.lumen = {
          enable = true;
          pairedClients.tv.certificate = ./key.pem;
        };
      }
      && complains "a private key" {
        services.lumen = {
          enable = true;
          settings.apps = [
            {
              name = "x";
              environment.KEY = key;
            }
          ];
        };
      };
    "a password among variables is named, the keyboard is not" =
      let
        warned =
          environment:
          (with' {
            settings.apps = [
              {
                name = "x";
                inherit environment;
              }
            ];
          }).warnings;
      in
      builtins.length (warned {
        RCON_PASSWORD = "x";
      }) == 1
      &&
        warned {
          SDL_KEYBOARD = "x";
          LANG = "C";
        } == [ ];
    "nothing secret-like is in a unit" =
      let
        config = with' {
          adminTokenFile = "/var/lib/secrets/token";
          settings.admin.listen = "127.0.0.1:47980";
          appliance = {
            enable = true;
            upgrade = {
              enable = true;
              flake = "example#box";
            };
          };
        };
        text =
          value:
          if builtins.isAttrs value && value.type or null != "derivation" then
            lib.concatStringsSep " " (lib.mapAttrsToList (name: inner: "${name} ${text inner}") value)
          else if builtins.isList value then
            lib.concatStringsSep " " (map text value)
          else if value == null || builtins.isBool value then
            ""
          else
            toString value;
        # What keys and tokens look like: PEM, and long runs of hexadecimal digits or letters that are no path.
        secrets = lib.filter (
          word:
          builtins.match ".*(PRIVATE KEY|BEGIN ).*" word != null
          ||
            builtins.match "[0-9A-Za-z+=_-]*[0-9][0-9A-Za-z+=_-]*" word != null
            && builtins.stringLength word >= 24
        ) (lib.filter builtins.isString (builtins.split "[ \n:=\"]" (text config.systemd.services)));
      in
      secrets == [ ];
    "gamescope without a GPU is named" =
      builtins.length (with' { sessions = [ "gamescope" ]; }).warnings == 1
      &&
        (with' {
          sessions = [ "gamescope" ];
          gpu = "amd";
        }).warnings == [ ];
    "software drawing has its driver where a compositor needs it" =
      (with' { sessions = [ "kwin" ]; }).hardware.graphics.enable && plain.hardware == { };
    "an appliance opens only the interfaces that are named" =
      (firewall (with' {
        appliance.enable = true;
        firewallInterfaces = [ "lan" ];
      })).tcp == [ ];
    "everything together has no complaint" =
      complaints {
        services.lumen = {
          enable = true;
          gpu = "amd";
          sessions = [ "gamescope" ];
          settings.apps = [
            {
              name = "Steam";
              display = "gamescope";
            }
          ];
        };
      } == [ ];

    "root is refused with a remedy" = complains "must not be root.*ordinary user" {
      users.users.root = { };
      services.lumen = {
        enable = true;
        user = "root";
      };
    };
    "a user that is not there is named" = complains "'ghost', which users.users does not have" {
      services.lumen = {
        enable = true;
        user = "ghost";
      };
    };
    "two numbers for one user are named" =
      complains "services.lumen.uid is 1000, but users.users.ada.uid"
        {
          users.users.ada.uid = 1001;
          services.lumen = {
            enable = true;
            user = "ada";
            uid = 1000;
          };
        };
    "an application without its compositor is named" =
      complains "use kwin, which services.lumen.sessions does not install"
        {
          services.lumen = {
            enable = true;
            settings.apps = [
              {
                name = "Desktop";
                display = "kwin";
              }
            ];
          };
        };
    "a client without anything that proves it is named" = complains "none or both: tv" {
      services.lumen = {
        enable = true;
        pairedClients.tv = { };
      };
    };
    "clients in settings are refused" = complains "declare clients by services.lumen.pairedClients" {
      services.lumen = {
        enable = true;
        settings.clients = [ ];
      };
    };
    "two answers about the firewall are refused" = complains "set one of them" {
      services.lumen = {
        enable = true;
        openFirewall = true;
        firewallInterfaces = [ "lan" ];
      };
    };
    "sound without PipeWire is refused" =
      complains "needs PipeWire, but services.pipewire.enable is false"
        {
          services.pipewire.enable = false;
          services.lumen.enable = true;
        };
    "a PipeWire that is not the user's is refused" =
      complains "but services.pipewire.systemWide makes one for the machine"
        {
          services.pipewire.systemWide = true;
          services.lumen.enable = true;
        };
    "a user without a manager before login is refused" =
      complains "users.users.lumen.linger is false, so that it only runs while somebody is logged in"
        {
          users.users.lumen.linger = lib.mkForce false;
          services.lumen.enable = true;
        };
    "a GPU without its libraries is refused" =
      complains "hardware.graphics.enable is false, so that no encoder"
        {
          hardware.graphics.enable = false;
          services.lumen = {
            enable = true;
            gpu = "intel";
          };
        };
    "a user's name must be one" = refuses (with' { user = "Ada Lovelace"; }).services.lumen.user;
    "a GPU that there is not is refused" = refuses (with' { gpu = "voodoo"; }).services.lumen.gpu;
    "a port without room for the others is refused" =
      refuses
        (with' { settings.port = 80; }).services.lumen.settings.port;
    "a compositor that there is not is refused" =
      refuses
        (with' { sessions = [ "weston" ]; }).services.lumen.sessions;
    "a fingerprint must be one" =
      refuses
        (with' { pairedClients.tv.fingerprint = "abc"; }).services.lumen.pairedClients;
    "a misspelt option is refused" = refuses (with' { openFirewal = true; }).services.lumen.enable;
  };
in
lib.filter (name: !holds.${name}) (lib.attrNames holds)
