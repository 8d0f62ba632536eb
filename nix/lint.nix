# Formatting and lints of the Nix files.
{
  lib,
  runCommand,
  deadnix,
  nixfmt,
  statix,
}:

runCommand "lumen-nix-lint"
  {
    src = lib.fileset.toSource {
      root = ../.;
      fileset = lib.fileset.unions [
        ../flake.nix
        ../statix.toml
        (lib.fileset.fileFilter (file: file.hasExt "nix") ../modules)
        (lib.fileset.fileFilter (file: file.hasExt "nix") ../nix)
      ];
    };
    nativeBuildInputs = [
      deadnix
      nixfmt
      statix
    ];
  }
  ''
    cd "$src"
    find . -name '*.nix' -exec nixfmt --check {} +
    deadnix --fail .
    statix check .
    touch "$out"
  ''
