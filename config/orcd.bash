# bash completion for orcd; made by: orcd help --bash-completion
_orcd()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W 'serve run chat cancel health metrics plugins inspect eval config bench help --help --version' -- "$cur"))
        return
    fi
    case $prev in
    --set)
        compopt -o nospace 2>/dev/null
        COMPREPLY=($(compgen -S = -W 'plugin.name plugin.dir model.path model.ref model.tokenizer model.chat_template model.context model.slots model.max_step_rows model.max_batch_tokens deadlines.default_ms deadlines.max_ms deadlines.min_remaining_ms deadlines.admission deadlines.probe_percent checks.every_tokens checks.every_ms checks.prefill_slice_ms health.refresh_ms health.residency_ms health.stall_ms health.max_failures http.listen http.socket_mode http.socket_group http.threads http.api_keys_file http.wrong_key_delay_ms http.cors_origins http.allow_unauthenticated http.keep_alive_ms http.write_stall_ms http.ping_ms http.metrics_event_ms http.max_body_kb http.max_connections http.max_connections_per_peer http.buffer_mb http.request_read_ms http.tls.cert http.tls.key queue.capacity shutdown.drain_ms shutdown.grace_ms worker.id worker.callback_url worker.callback_secret_file log.level log.format' -- "$cur"))
        return ;;
    --plugin|-p)
        COMPREPLY=($(compgen -W 'auto cuda cpu mock' -- "$cur"))
        return ;;
    --on-deadline)
        COMPREPLY=($(compgen -W 'error partial' -- "$cur"))
        return ;;
    --config|-c|--check|--text|--logits|--api-key-file|--model|-m|--json|--html|--baseline|--save)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return ;;
    esac
    case $verb:$cur in
    serve:-*)
        COMPREPLY=($(compgen -W '--config --set --plugin --gpu-device --listen --help' -- "$cur")) ;;
    run:-*)
        COMPREPLY=($(compgen -W '--model --raw --url --api-key-file --config --set --plugin --gpu-device --deadline --on-deadline --max-tokens --temperature --top-p --top-k --min-p --repetition-penalty --seed --stats --stop --json --help' -- "$cur")) ;;
    chat:-*)
        COMPREPLY=($(compgen -W '--message --system --thinking --show-thinking --model --url --api-key-file --config --set --plugin --gpu-device --deadline --on-deadline --max-tokens --temperature --top-p --top-k --min-p --repetition-penalty --seed --stats --stop --json --help' -- "$cur")) ;;
    cancel:-*)
        COMPREPLY=($(compgen -W '--url --api-key-file --config --set --plugin --gpu-device --help' -- "$cur")) ;;
    health:-*)
        COMPREPLY=($(compgen -W '--url --api-key-file --config --set --plugin --gpu-device --json --watch --help' -- "$cur")) ;;
    metrics:-*)
        COMPREPLY=($(compgen -W '--url --api-key-file --config --set --plugin --gpu-device --list --help' -- "$cur")) ;;
    plugins:-*)
        COMPREPLY=($(compgen -W '--config --set --plugin --gpu-device --help' -- "$cur")) ;;
    inspect:-*)
        COMPREPLY=($(compgen -W '--slots --context --tokenizer --help' -- "$cur")) ;;
    eval:-*)
        COMPREPLY=($(compgen -W '--config --set --plugin --gpu-device --text --tokens --logits --context --help' -- "$cur")) ;;
    config:-*)
        COMPREPLY=($(compgen -W '--config --set --plugin --gpu-device --list --check --show --annotated --help' -- "$cur")) ;;
    bench:-*)
        COMPREPLY=($(compgen -W '--list --quick --target --model --json --html --baseline --save --scale --seed --ci --ci-baseline --ci-save --help' -- "$cur")) ;;
    help:-*)
        COMPREPLY=($(compgen -W '--bash-completion --help' -- "$cur")) ;;
    serve:*|inspect:*|eval:*)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur")) ;;
    esac
}
complete -F _orcd orcd
