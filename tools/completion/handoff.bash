# bash completion for handoff(1). Options, subcommands and processes come from the command itself.

_handoff()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local sub=${COMP_WORDS[1]} handoff=${COMP_WORDS[0]}
    local subcommands='run check stat threads ps config help'

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "$subcommands --help --version" -- "$cur"))
        return
    fi
    case $sub in
    help)
        COMPREPLY=($(compgen -W "$subcommands" -- "$cur"))
        ;;
    run)
        _handoff_run
        ;;
    check)
        COMPREPLY=($(compgen -W "--json $(_handoff_pids)" -- "$cur") $(compgen -c -- "$cur"))
        ;;
    stat)
        case $prev in
        -f | --format) COMPREPLY=($(compgen -W 'text json prom' -- "$cur")) ;;
        -i | -n | --interval | --count) ;;
        *) COMPREPLY=($(compgen -W "--interval= --count= --format=text --format=json
               --format=prom $(_handoff_pids)" -- "$cur")) ;;
        esac
        ;;
    threads)
        COMPREPLY=($(compgen -W "--json --state=runnable --state=running --state=syscall
            --state=parked --state=exiting $(_handoff_pids)" -- "$cur"))
        ;;
    ps)
        COMPREPLY=($(compgen -W '--json --verbose' -- "$cur"))
        ;;
    config)
        COMPREPLY=($(compgen -W "--json --names --markdown $(_handoff_names)
            $(_handoff_pids)" -- "$cur"))
        ;;
    esac
}

# handoff run [options] CMD...: after CMD, that command's own completion.
_handoff_run()
{
    local i=2

    while ((i < COMP_CWORD)); do
        case ${COMP_WORDS[i]} in
        -o | --option) ((i += 2)) ;;
        --) ((i++)) && break ;;
        -* | =) ((i++)) ;;
        *)
            # --stats=FILE and -o NAME=VALUE are several words where = splits words
            [[ ${COMP_WORDS[i - 1]} == = ]] && ((i++)) && continue
            break
            ;;
        esac
    done
    if ((i < COMP_CWORD)); then
        declare -F _command_offset >/dev/null && _command_offset "$i"
    elif [[ $prev == -o || $prev == --option ]]; then
        COMPREPLY=($(compgen -S = -W "$(_handoff_names)" -- "$cur"))
        compopt -o nospace
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W '-o --option --stats --stats= --' -- "$cur"))
    else
        COMPREPLY=($(compgen -c -- "$cur"))
    fi
}

_handoff_names()
{
    "$handoff" config --names 2>/dev/null
}

_handoff_pids()
{
    "$handoff" ps 2>/dev/null | awk 'NR > 1 { print $1 }'
}

complete -o default -F _handoff handoff
