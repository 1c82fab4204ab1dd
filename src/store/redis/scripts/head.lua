-- Where the history stands.
local head, refusal = stored(false)
if not head then
    return refusal
end
return { 'HEAD', head.reign, head.gen, head.rev, head.chain, head.fork }
