{
  description = "lumen: streams desktops and games to Moonlight clients";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forAllSystems =
        output:
        lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
          system: output nixpkgs.legacyPackages.${system} self.packages.${system}
        );
      app = description: program: {
        type = "app";
        program = lib.getExe program;
        meta = { inherit description; };
      };
    in
    {
      packages = forAllSystems (
        pkgs: own:
        {
          default = own.lumen;
          lumen = pkgs.callPackage ./nix/package.nix { };
          # Comes out of the same build, whose output it is: addMetaAttrs would make it another one.
          lumen-client = own.lumen.client // {
            meta = own.lumen.meta // {
              description = "Reference client for GameStream hosts";
              mainProgram = "lumen-client";
            };
          };
          oci-image = pkgs.callPackage ./nix/oci.nix { inherit (own) lumen; };
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isx86_64 {
          appliance-image = self.nixosConfigurations.appliance.config.system.build.images.raw-efi;
          appliance-iso = self.nixosConfigurations.installer.config.system.build.isoImage;
        }
      );

      apps = forAllSystems (
        pkgs: own: {
          default = app "Start the host with the test card, and say what to do" (
            pkgs.callPackage ./nix/demo.nix { inherit (own) lumen; }
          );
          client = app "Discover, pair with and stream from hosts" own.lumen-client;
        }
      );

      # Not "lumen": nixpkgs has another program of that name.
      overlays.default = final: _previous: {
        lumen-host = final.callPackage ./nix/package.nix { };
      };

      nixosModules = {
        default = self.nixosModules.lumen;
        lumen =
          { lib, pkgs, ... }:
          {
            imports = [ ./modules/lumen.nix ];
            # No overlay is needed for this flake's own package.
            services.lumen.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.lumen;
          };
        appliance.imports = [
          self.nixosModules.lumen
          ./nix/appliance.nix
        ];
      };

      nixosConfigurations = {
        appliance = lib.nixosSystem { modules = [ self.nixosModules.appliance ]; };
        installer = lib.nixosSystem {
          modules = [
            (nixpkgs + "/nixos/modules/installer/cd-dvd/installation-cd-base.nix")
            (import ./nix/installer.nix {
              system = self.nixosConfigurations.appliance.config.system.build.toplevel;
            })
          ];
        };
      };

      templates.appliance = {
        path = ./nix/template;
        description = "A machine that streams and does nothing else";
      };

      checks = forAllSystems (
        pkgs: own:
        {
          inherit (own) lumen;
          clippy = pkgs.callPackage ./nix/clippy.nix { inherit (own) lumen; };
          nix = pkgs.callPackage ./nix/lint.nix { };
          module =
            let
              broken = import ./nix/tests/eval.nix { inherit lib; };
            in
            if broken == [ ] then
              pkgs.runCommand "lumen-module-eval" { } "touch $out"
            else
              throw "services.lumen: this does not hold: ${lib.concatStringsSep "; " broken}";
        }
        // lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") (
          import ./nix/vm-tests.nix {
            inherit lib pkgs;
            module = self.nixosModules.default;
            client = own.lumen-client;
          }
        )
      );

      devShells = forAllSystems (
        pkgs: own: {
          default = pkgs.callPackage ./nix/shell.nix { inherit (own) lumen; };
        }
      );

      formatter = forAllSystems (pkgs: _own: pkgs.nixfmt-tree);
    };
}
