# The reference page of the options of services.lumen, as text.
#   nix-instantiate --eval --strict --json -E "import nix/tests/options.nix"
let
  lib = import ./lib.nix;
  inherit (builtins)
    concatStringsSep
    filter
    isBool
    isInt
    isList
    isString
    match
    replaceStrings
    split
    ;

  package = name: {
    type = "derivation";
    inherit name;
    outPath = name;
  };
  arguments = {
    inherit lib;
    config = { };
    options = { };
    utils = { };
    pkgs = {
      lumen-host = package "lumen-host";
      formats.toml = _: {
        type = lib.types.anything // {
          name = "TOML value";
        };
      };
    };
  };
  module = import ../../modules/lumen.nix arguments;
  options = lib.foldl' (
    all: imported: lib.recursiveUpdate all (import imported arguments).options
  ) module.options module.imports;

  # Of submodules, their options; of sets and lists of them, too.
  inner = option: option.type.options or option.type.element.options or null;
  below = option: if option.type ? element then [ "<name>" ] else [ ];

  walk =
    path: options:
    lib.concatMap (
      name:
      let
        at = path ++ [ name ];
        option = options.${name};
      in
      if option._type or null != "option" then
        walk at option
      else
        [ (page at option) ]
        ++ (if inner option == null then [ ] else walk (at ++ below option) (inner option))
    ) (lib.attrNames options);

  show =
    value:
    if value._type or null == "literalExpression" then
      value.text
    else if value.type or null == "derivation" then
      "pkgs.${value.name}"
    else if isBool value then
      (if value then "true" else "false")
    else if isInt value then
      toString value
    else if isString value then
      "\"${value}\""
    else if isList value then
      (if value == [ ] then "[ ]" else "[ ${concatStringsSep " " (map show value)} ]")
    else if value == null then
      "null"
    else if value == { } then
      "{ }"
    else
      "{ ${
        concatStringsSep " " (map (name: "${name} = ${show value.${name}};") (lib.attrNames value))
      } }";

  # Longer examples keep their lines.
  code =
    text:
    let
      lines = filter isString (split "\n" text);
      trimmed = filter (line: match " *" line == null) lines;
    in
    if builtins.length trimmed <= 1 then
      "`${concatStringsSep "" trimmed}`"
    else
      "\n\n```nix\n${concatStringsSep "\n" trimmed}\n```\n";
  flat = text: replaceStrings [ "\n" ] [ " " ] (strip text);
  strip = text: builtins.head (match "(.*[^\n ])[\n ]*" text);

  page =
    path: option:
    concatStringsSep "\n" (
      [
        "## `${concatStringsSep "." path}`"
        ""
        (flat option.description)
        ""
        "- Type: ${option.type.name}"
      ]
      ++ lib.optional (option ? default) "- Default: ${code (show option.default)}"
      ++ lib.optional (option ? example) "- Example: ${code (show option.example)}"
      ++ [ "" ]
    );
in
''
  # NixOS options

  <!-- Printed from modules/lumen.nix; `LUMEN_BLESS=1 scripts/test nix` writes it. -->

  What they are for: [With Nix](../guide/nix.md).

''
+ concatStringsSep "\n" (walk [ ] options)
