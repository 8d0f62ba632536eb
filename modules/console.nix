# services.lumen.web, .metrics, .grants: what browsers and monitoring may reach, and what clients may do.
{
  config,
  lib,
  ...
}:

let
  inherit (lib)
    mkEnableOption
    mkIf
    mkOption
    types
    ;

  cfg = config.services.lumen;

  kinds = types.listOf (
    types.enum [
      "keyboard"
      "pointer"
      "gamepad"
    ]
  );
  isLoopback =
    address: builtins.match "127\\..*" address != null || address == "::1" || address == "localhost";
  # Everybody who can log in can read the store.
  inStore = path: builtins.match "${builtins.storeDir}/.*" (toString path) != null;

  # What web and metrics have in common.
  listener = port: {
    address = mkOption {
      type = types.strMatching "[0-9a-fA-F.:]+";
      default = "127.0.0.1";
      example = "0.0.0.0";
      description = ''
        Address to listen on: a loopback address by HTTP, any other by HTTPS with the host's own certificate.
      '';
    };
    port = mkOption {
      type = types.port;
      default = port;
      example = port + 1000;
      description = "Port to listen on.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether others may connect: over every interface, or over those of `firewallInterfaces` where that has some.
      '';
    };
  };
  complaints = name: one: [
    {
      assertion = one.tokenFile == null || !inStore one.tokenFile;
      message = "services.lumen.${name}.tokenFile lies in the store, where everybody can read it: name a file on the machine as a string, such as \"/var/lib/secrets/lumen-${name}-token\".";
    }
    {
      assertion = one.tokenFile != null -> one.enable;
      message = "services.lumen.${name}.tokenFile is read by nobody without services.lumen.${name}.enable: set that, or remove the line.";
    }
    {
      assertion = one.openFirewall -> one.enable && !isLoopback one.address;
      message = "services.lumen.${name}.openFirewall opens a port where nobody listens for others: set services.lumen.${name}.enable and an address of this machine, such as services.lumen.${name}.address = \"0.0.0.0\", or remove the line.";
    }
    {
      assertion = !(cfg.settings ? ${name});
      message = "services.lumen.settings.${name}: set it by services.lumen.${name}.";
    }
  ];
in
{
  options.services.lumen = {
    web = {
      enable = mkEnableOption "the console for browsers: pairing, clients, sessions, doctor";
      tokenFile = mkOption {
        type = types.nullOr (types.strMatching "/.*");
        default = null;
        example = "/var/lib/secrets/lumen-web-token";
        description = ''
          File on the machine with the console's token, sixteen characters or more, handed to the service as a credential of
          systemd. It must not lie in the store. Unset, the service makes a token of its own, which `lumen web` prints.
        '';
      };
      names = mkOption {
        type = types.listOf (types.strMatching "[0-9A-Za-z._-]+");
        default = [ ];
        example = [ "den.example" ];
        description = "Names under which browsers may ask for the console, beside addresses and `localhost`.";
      };
    }
    // listener 47990;

    metrics = {
      enable = mkEnableOption "metrics for Prometheus";
      tokenFile = mkOption {
        type = types.nullOr (types.strMatching "/.*");
        default = null;
        example = "/var/lib/secrets/lumen-metrics-token";
        description = ''
          File on the machine with the bearer token that scrapers must send, handed to the service as a credential of systemd.
          It must not lie in the store. Needed where `address` is not a loopback address.
        '';
      };
    }
    // listener 9464;

    grants = {
      input = mkOption {
        type = types.nullOr kinds;
        default = null;
        example = [ "gamepad" ];
        description = ''
          Devices whose input is taken from clients of which nothing else is said. Unset, all; an empty list makes clients that
          only watch.
        '';
      };
      apps = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        example = [ "Steam" ];
        description = ''
          Titles of the applications that clients may start of which nothing else is said. Unset, all. They see no others.
        '';
      };
      clipboard = mkOption {
        type = types.nullOr types.bool;
        default = null;
        example = true;
        description = ''
          Whether clients of which nothing else is said share the clipboard of their session, both ways. Unset, they do not.
          Over lumen/1 only.
        '';
      };
      microphone = mkOption {
        type = types.nullOr types.bool;
        default = null;
        example = true;
        description = ''
          Whether microphones of clients of which nothing else is said are heard in their sessions. Unset, they are not. Over
          lumen/1 only.
        '';
      };
    };
  };

  config = mkIf cfg.enable {
    assertions =
      complaints "web" cfg.web
      ++ complaints "metrics" cfg.metrics
      ++ [
        {
          assertion = cfg.metrics.enable -> isLoopback cfg.metrics.address || cfg.metrics.tokenFile != null;
          message = "services.lumen.metrics.address is ${cfg.metrics.address}, so that anybody could read the metrics: set services.lumen.metrics.tokenFile, or remove the line.";
        }
        {
          assertion = cfg.web.enable && cfg.metrics.enable -> cfg.web.port != cfg.metrics.port;
          message = "services.lumen.web.port and services.lumen.metrics.port are both ${toString cfg.web.port}: set one to another.";
        }
        {
          assertion = !(cfg.settings ? grants);
          message = "services.lumen.settings.grants: set it by services.lumen.grants.";
        }
      ];
  };
}
