# The scenarios of vm-tests/scenarios as VM tests of NixOS, by name; `vm-tests/scenario` runs the same scripts on Debian.
{
  lib,
  pkgs,
  # services.lumen, with its package.
  module,
  # lumen-client.
  client,
}:

let
  folder = ../vm-tests/scenarios;
  names = map (lib.removeSuffix ".py") (
    lib.filter (lib.hasSuffix ".py") (lib.attrNames (builtins.readDir folder))
  );

  # A node with settings is a host.
  node = spec: {
    imports = [ module ];
    environment.systemPackages = [
      client
      pkgs.curl
    ]
    ++ map (name: pkgs.${name}) (spec.packages or [ ]);
    services.lumen = lib.optionalAttrs (spec ? settings) {
      enable = true;
      openFirewall = true;
      settings = removeAttrs spec.settings [ "clients" ];
      # The module has an option of its own for them.
      pairedClients = lib.listToAttrs (
        map (declared: lib.nameValuePair declared.name { inherit (declared) certificate; }) (
          spec.settings.clients or [ ]
        )
      );
    };
  };
in
lib.listToAttrs (
  map (
    name:
    lib.nameValuePair "vm-${name}" (
      pkgs.testers.runNixOSTest {
        name = "lumen-${name}";
        nodes = lib.mapAttrs (_: node) (lib.importJSON (folder + "/${name}.json"));
        testScript =
          builtins.readFile (folder + "/common/prelude.py") + builtins.readFile (folder + "/${name}.py");
      }
    )
  ) names
)
