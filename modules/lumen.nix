# services.lumen: the host, and everything of NixOS that it needs, as one switch.
{
  config,
  lib,
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
    mkPackageOption
    types
    ;

  cfg = config.services.lumen;
  format = pkgs.formats.toml { };

  # Unset options have no place in the file: the host has its own defaults.
  written = lib.filterAttrsRecursive (_: value: value != null) (
    cfg.settings
    // lib.optionalAttrs (cfg.pairedClients != { }) { clients = clientList; }
    // lib.optionalAttrs (cfg.adminTokenFile != null) {
      admin = (cfg.settings.admin or { }) // {
        token_file = credential "admin";
      };
    }
    // lib.optionalAttrs cfg.web.enable {
      web = {
        listen = listen cfg.web;
        token_file = if cfg.web.tokenFile == null then null else credential "web";
      }
      // lib.optionalAttrs (cfg.web.names != [ ]) { inherit (cfg.web) names; };
    }
    // lib.optionalAttrs cfg.metrics.enable {
      metrics = {
        listen = listen cfg.metrics;
        token_file = if cfg.metrics.tokenFile == null then null else credential "metrics";
      };
    }
    // lib.optionalAttrs (lib.any (grant: grant != null) (lib.attrValues cfg.grants)) {
      inherit (cfg) grants;
    }
  );
  listen =
    one:
    let
      isV6 = builtins.match ".*:.*" one.address != null;
    in
    "${if isV6 then "[${one.address}]" else one.address}:${toString one.port}";
  # Where systemd puts the credential of that name for this unit, and for nobody else.
  credential = name: "/run/credentials/lumen.service/${name}-token";
  credentials =
    lib.optional (cfg.adminTokenFile != null) "admin-token:${cfg.adminTokenFile}"
    ++ lib.optional (cfg.web.tokenFile != null) "web-token:${cfg.web.tokenFile}"
    ++ lib.optional (cfg.metrics.tokenFile != null) "metrics-token:${cfg.metrics.tokenFile}";

  clientList = lib.mapAttrsToList (
    name: client: { inherit name; } // lib.filterAttrs (_: value: value != null) client
  ) cfg.pairedClients;
  file = format.generate "lumen.toml" written;

  # Everybody who can log in can read the store, and so can caches that it is copied to.
  inStore = path: builtins.match "${builtins.storeDir}/.*" (toString path) != null;
  texts =
    value:
    if builtins.isString value then
      [ value ]
    else if builtins.isPath value then
      [ (builtins.readFile value) ]
    else if builtins.isList value then
      lib.concatMap texts value
    else if builtins.isAttrs value then
      lib.concatMap texts (lib.attrValues value)
    else
      [ ];
  holdsKey = text: builtins.length (builtins.split "PRIVATE KEY-----" text) > 1;
  secretNames = lib.unique (
    lib.concatMap (
      app:
      lib.filter (
        name: builtins.match ".*(TOKEN|SECRET|PASSWORD|PASSWD|PRIVATE_KEY|API_KEY).*" name != null
      ) (lib.attrNames (app.environment or { }))
    ) (cfg.settings.apps or [ ])
  );

  # Distances from the base port, as the protocol has them.
  base = cfg.settings.port;
  tcpPorts = map (distance: base + distance) [
    (-5)
    0
    21
  ];
  udpPorts = map (distance: base + distance) (
    [
      9
      10
      11
    ]
    ++ lib.optional cfg.settings.quic (-5)
  );
  discovery = lib.optional cfg.settings.mdns 5353;
  consolePorts = map (one: one.port) (
    lib.filter (one: one.enable && one.openFirewall) [
      cfg.web
      cfg.metrics
    ]
  );

  compositors = {
    gamescope = [ pkgs.gamescope ];
    kwin = [ pkgs.kdePackages.kwin ];
    mutter = [
      pkgs.dbus
      pkgs.mutter
    ];
    sway = [
      pkgs.foot
      pkgs.sway
    ];
  };
  # What lumen.toml calls them.
  displays = {
    sway = "wlroots";
  };
  displayOf = session: displays.${session} or session;
  missing = lib.unique (
    lib.filter (display: display != null) (
      map (
        app:
        let
          display = app.display or "auto";
        in
        if
          lib.elem display (map displayOf (lib.attrNames compositors))
          && !lib.elem display (map displayOf cfg.sessions)
        then
          display
        else
          null
      ) (cfg.settings.apps or [ ])
    )
  );

  programs =
    cfg.path
    ++ lib.concatMap (session: compositors.${session}) cfg.sessions
    ++ [
      "/run/wrappers"
      "/run/current-system/sw"
    ];

  runtimeDir = "/run/user/${toString cfg.uid}";
in
{
  imports = [
    ./appliance.nix
    ./console.nix
  ];

  options.services.lumen = {
    enable = mkEnableOption "lumen, which streams desktops and games to Moonlight clients";

    package = mkPackageOption pkgs "lumen-host" { };

    user = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_-]*";
      default = "lumen";
      example = "ada";
      description = ''
        User that the host, its desktops and games run as. `lumen` is made; any other must be there.
        It must not be `root`.
      '';
    };

    uid = mkOption {
      type = types.ints.between 1 65533;
      default = 1964;
      example = 1000;
      description = ''
        Number of that user: its PipeWire and its session bus are found by it. For an existing user, the one that it has.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether clients may connect over every interface: TCP `port` -5, 0 and +21, UDP `port` +9 to +11, UDP `port` -5 with `settings.quic`, and UDP 5353 for discovery.
      '';
    };

    firewallInterfaces = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "enp3s0" ];
      description = "Interfaces over which clients may connect, where not all shall do.";
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = format.type;
        options = {
          port = mkOption {
            type = types.ints.between 1029 65514;
            default = 47989;
            example = 48989;
            description = "Base port; all others lie at fixed distances from it.";
          };
          mdns = mkOption {
            type = types.bool;
            default = true;
            example = false;
            description = "Whether to announce this host by mDNS.";
          };
          quic = mkOption {
            type = types.bool;
            default = false;
            example = true;
            description = "Whether clients may pair and launch by lumen/1 itself, over QUIC, as well: on UDP at `port` -5.";
          };
        };
      };
      default = { };
      example = lib.literalExpression ''
        {
          name = "living room";
          stream.max_sessions = 4;
          apps = [
            {
              name = "Steam";
              display = "gamescope";
              command = [ "steam" "-gamepadui" ];
            }
          ];
        }
      '';
      description = ''
        What goes into `lumen.toml`; all keys are in the reference of the configuration. It is checked with `lumen config check`
        when the system is built.
      '';
    };

    sessions = mkOption {
      type = types.listOf (types.enum (lib.attrNames compositors));
      default = [ "sway" ];
      example = [
        "gamescope"
        "kwin"
      ];
      description = "Compositors that are installed for sessions of their own.";
    };

    adminTokenFile = mkOption {
      type = types.nullOr (types.strMatching "/.*");
      default = null;
      example = "/var/lib/secrets/lumen-admin-token";
      description = ''
        File on the machine with the bearer token of `settings.admin.listen`, sixteen characters or more. systemd hands it to the
        service alone, as a credential; only root need be able to read the file. It must not lie in the store. Unset, the
        service makes a token of its own in its state directory.
      '';
    };

    path = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = lib.literalExpression "[ pkgs.firefox ]";
      description = "Packages whose programs applications may name, beside those of the system.";
    };

    audio = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether PipeWire and WirePlumber are set up, which every session's sound needs.";
    };

    gpu = mkOption {
      type = types.enum [
        "nvidia"
        "amd"
        "intel"
        "none"
      ];
      default = "none";
      example = "nvidia";
      description = ''
        Whose graphics processor sessions draw and encode with: its driver and permissions are set up. `none` draws and encodes on
        the CPU.
      '';
    };

    pairedClients = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            certificate = mkOption {
              type = types.nullOr (types.either types.path types.str);
              default = null;
              example = lib.literalExpression "./clients/tv.pem";
              description = "Its certificate: a PEM file, or its text. It is public; the private key stays with the client.";
            };
            fingerprint = mkOption {
              type = types.nullOr (types.strMatching "([0-9a-fA-F]{2}:?){32}");
              default = null;
              example = "7c2f0d9a1b3e4f5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c";
              description = "SHA-256 of its certificate in DER form.";
            };
            input = mkOption {
              type = types.nullOr (
                types.listOf (
                  types.enum [
                    "keyboard"
                    "pointer"
                    "gamepad"
                  ]
                )
              );
              default = null;
              example = [ ];
              description = "Devices whose input is taken from it; none for a client that only watches. Unset, as `grants` says.";
            };
            apps = mkOption {
              type = types.nullOr (types.listOf types.str);
              default = null;
              example = [ "Steam" ];
              description = "Titles of the applications that it may start. Unset, as `grants` says.";
            };
            clipboard = mkOption {
              type = types.nullOr types.bool;
              default = null;
              example = true;
              description = "Whether it shares the clipboard of its session, both ways. Unset, as `grants` says.";
            };
            microphone = mkOption {
              type = types.nullOr types.bool;
              default = null;
              example = true;
              description = "Whether its microphone is heard in its session. Unset, as `grants` says.";
            };
          };
        }
      );
      default = { };
      example = lib.literalExpression "{ tv.certificate = ./clients/tv.pem; }";
      description = "Clients that stream without a PIN, by the name to show for them.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = cfg.user != "root";
          message = "services.lumen.user must not be root: compositors refuse to run as root. Remove the line, or name an ordinary user.";
        }
        {
          # This module adds to the user, so that the name alone is always there.
          assertion =
            let
              user = config.users.users.${cfg.user};
            in
            user.isNormalUser or false || user.isSystemUser or false;
          message = "services.lumen.user names '${cfg.user}', which users.users does not have: add the user, or remove the line.";
        }
        {
          assertion =
            let
              uid = config.users.users.${cfg.user}.uid or null;
            in
            uid == null || uid == cfg.uid;
          message = "services.lumen.uid is ${toString cfg.uid}, but users.users.${cfg.user}.uid is another: set both to the same number.";
        }
        {
          assertion = missing == [ ];
          message = "services.lumen.settings.apps use ${lib.concatStringsSep " and " missing}, which services.lumen.sessions does not install: add it there (wlroots is \"sway\").";
        }
        {
          assertion = lib.all (client: (client.certificate == null) != (client.fingerprint == null)) (
            lib.attrValues cfg.pairedClients
          );
          message = "services.lumen.pairedClients: each client has either a certificate or a fingerprint; these have none or both: ${
            lib.concatStringsSep ", " (
              lib.attrNames (
                lib.filterAttrs (
                  _: client: (client.certificate == null) == (client.fingerprint == null)
                ) cfg.pairedClients
              )
            )
          }.";
        }
        {
          assertion = !(cfg.settings ? clients);
          message = "services.lumen.settings.clients: declare clients by services.lumen.pairedClients.";
        }
        {
          assertion = cfg.adminTokenFile == null || !inStore cfg.adminTokenFile;
          message = "services.lumen.adminTokenFile lies in the store, where everybody can read it: name a file on the machine as a string, such as \"/var/lib/secrets/lumen-admin-token\".";
        }
        {
          assertion = !inStore (cfg.settings.admin.token_file or "");
          message = "services.lumen.settings.admin.token_file lies in the store, where everybody can read it: name a file on the machine by services.lumen.adminTokenFile.";
        }
        {
          assertion = cfg.adminTokenFile != null -> cfg.settings.admin.listen or null != null;
          message = "services.lumen.adminTokenFile is read by nobody without services.lumen.settings.admin.listen: set that, such as \"127.0.0.1:47980\", or remove the line.";
        }
        {
          assertion = cfg.adminTokenFile != null -> cfg.settings.admin.token_file or null == null;
          message = "services.lumen: adminTokenFile and settings.admin.token_file both name the token; set one of them.";
        }
        {
          assertion = !lib.any holdsKey (texts written);
          message = "services.lumen has a private key in settings or pairedClients, which go to the store, where everybody can read them: a client's private key stays with the client; give its certificate alone.";
        }
        {
          assertion = !(cfg.openFirewall && cfg.firewallInterfaces != [ ]);
          message = "services.lumen: openFirewall opens every interface and firewallInterfaces only some; set one of them.";
        }
        {
          assertion = cfg.audio -> config.services.pipewire.enable;
          message = "services.lumen.audio needs PipeWire, but services.pipewire.enable is false: remove that line, or set services.lumen.audio = false.";
        }
        {
          assertion = cfg.audio -> !(config.services.pipewire.systemWide or false);
          message = "services.lumen.audio needs a PipeWire of the user '${cfg.user}', but services.pipewire.systemWide makes one for the machine: remove that line, or set services.lumen.audio = false.";
        }
        {
          assertion = config.users.users.${cfg.user}.linger or false == true;
          message = "services.lumen runs its sessions under the manager of the user '${cfg.user}', but users.users.${cfg.user}.linger is false, so that it only runs while somebody is logged in: remove that line.";
        }
        {
          assertion = cfg.gpu != "none" -> config.hardware.graphics.enable or false;
          message = "services.lumen.gpu is \"${cfg.gpu}\", but hardware.graphics.enable is false, so that no encoder of it would be found: remove that line, or set services.lumen.gpu = \"none\".";
        }
      ];

      warnings =
        lib.optional (cfg.gpu == "none" && lib.elem "gamescope" cfg.sessions)
          "services.lumen.sessions has gamescope, which needs a GPU, but services.lumen.gpu is \"none\": say whose it is, or remove gamescope."
        ++
          lib.optional (secretNames != [ ])
            "services.lumen.settings.apps set ${lib.concatStringsSep " and " secretNames}: settings go to the store, where everybody can read them. Let the command read secrets from a file of its user instead.";

      users.groups.lumen = { };
      users.users.${cfg.user} = mkMerge [
        {
          # Its manager runs from boot on: PipeWire, the session bus and the scopes of games are in it.
          linger = true;
          extraGroups = [
            "lumen"
            "pipewire"
          ]
          ++ lib.optionals (cfg.gpu != "none") [
            "render"
            "video"
          ];
        }
        (mkIf (cfg.user == "lumen") {
          isNormalUser = true;
          inherit (cfg) uid;
          group = "lumen";
          description = "Desktops and games that are streamed";
        })
      ];

      # The doors of virtual gamepads belong to the group lumen, not to that of all input devices.
      boot.kernelModules = [
        "uhid"
        "uinput"
      ];
      services.udev.packages = [ cfg.package ];

      environment.systemPackages = [ cfg.package ];
      environment.etc."lumen/lumen.toml".source =
        pkgs.runCommand "lumen.toml-checked" { passthru.settings = written; }
          ''
            ${lib.getExe cfg.package} config check --config ${file}
            cp ${file} $out
          '';

      systemd.services.lumen = {
        description = "lumen: streams desktops and games to Moonlight clients";
        documentation = [ "man:lumen(1)" ];
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        requires = [ "user@${toString cfg.uid}.service" ];
        after = [
          "network-online.target"
          "user@${toString cfg.uid}.service"
        ];
        restartTriggers = [ config.environment.etc."lumen/lumen.toml".source ];
        # A stop and a start would end the sessions, a restart does not.
        stopIfChanged = false;
        # What applications name: programs of the system, and setuid ones that are not in the store.
        path = programs;
        environment = {
          XDG_RUNTIME_DIR = runtimeDir;
          DBUS_SESSION_BUS_ADDRESS = "unix:path=${runtimeDir}/bus";
        };
        serviceConfig = {
          Type = "notify";
          ExecStart = utils.escapeSystemdExecArgs [
            (lib.getExe cfg.package)
            "serve"
          ];
          User = cfg.user;
          StateDirectory = "lumen";
          StateDirectoryMode = "0700";
          RuntimeDirectory = "lumen";
          RuntimeDirectoryMode = "0700";
          RuntimeDirectoryPreserve = "restart";
          # Sessions run in units of the user's manager. SIGUSR2 leaves them to the next daemon, stopping ends them.
          KillMode = "mixed";
          RestartKillSignal = "SIGUSR2";
          Restart = "always";
          RestartSec = 1;
          WatchdogSec = 30;
          UMask = "0077";
          # The daemon alone is in this sandbox: docs/src/guide/hardening.md says why, and what is left open.
          CapabilityBoundingSet = "";
          LockPersonality = true;
          MemoryDenyWriteExecute = true;
          NoNewPrivileges = true;
          PrivateDevices = true;
          PrivateTmp = true;
          ProcSubset = "pid";
          ProtectClock = true;
          ProtectControlGroups = true;
          ProtectHome = "read-only";
          ProtectHostname = true;
          ProtectKernelLogs = true;
          ProtectKernelModules = true;
          ProtectKernelTunables = true;
          ProtectProc = "invisible";
          ProtectSystem = "strict";
          RestrictAddressFamilies = "AF_INET AF_INET6 AF_NETLINK AF_UNIX";
          RestrictNamespaces = true;
          RestrictRealtime = true;
          RestrictSUIDSGID = true;
          SystemCallArchitectures = "native";
          SystemCallErrorNumber = "EPERM";
          SystemCallFilter = [
            "@system-service"
            "~@privileged @resources"
          ];
        }
        // lib.optionalAttrs (credentials != [ ]) {
          LoadCredential = credentials;
        };
      };
    }

    {
      # Sessions run below this one: their threads that send may have the real-time class.
      systemd.services."user@${toString cfg.uid}" = {
        overrideStrategy = "asDropin";
        restartIfChanged = false;
        serviceConfig = {
          LimitRTPRIO = 20;
          LimitNICE = -19;
        };
      };
    }

    (mkIf cfg.appliance.enable {
      # The doctor looks for compositors.
      systemd.services.lumen-health.path = programs;
    })

    (mkIf cfg.audio {
      services.pipewire = {
        enable = mkDefault true;
        pulse.enable = mkDefault true;
        alsa.enable = mkDefault true;
        wireplumber.enable = mkDefault true;
      };
      security.rtkit.enable = mkDefault true;
    })

    (mkIf cfg.openFirewall {
      networking.firewall.allowedTCPPorts = tcpPorts;
      networking.firewall.allowedUDPPorts = udpPorts ++ discovery;
    })

    {
      networking.firewall.interfaces = lib.genAttrs cfg.firewallInterfaces (_: {
        allowedTCPPorts = tcpPorts ++ consolePorts;
        allowedUDPPorts = udpPorts ++ discovery;
      });
    }

    (mkIf (cfg.firewallInterfaces == [ ] && consolePorts != [ ]) {
      networking.firewall.allowedTCPPorts = consolePorts;
    })

    # Mesa draws on the CPU as well, and all but sway need it for that.
    (mkIf (cfg.gpu != "none" || lib.any (session: session != "sway") cfg.sessions) {
      hardware.graphics.enable = mkDefault true;
    })

    (mkIf (cfg.gpu != "none") {
      hardware.graphics.enable32Bit = mkDefault pkgs.stdenv.hostPlatform.isx86_64;
    })

    (mkIf (cfg.gpu == "nvidia") {
      services.xserver.videoDrivers = [ "nvidia" ];
      hardware.nvidia = {
        open = mkDefault true;
        modesetting.enable = mkDefault true;
        nvidiaPersistenced = mkDefault true;
      };
    })

    (mkIf (cfg.gpu == "intel") {
      hardware.graphics.extraPackages = [
        pkgs.intel-media-driver
        pkgs.vpl-gpu-rt
      ];
    })
  ]);

  meta.buildDocsInSandbox = true;
}
