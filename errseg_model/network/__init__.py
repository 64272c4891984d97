"""ERR-Seg as PyTorch modules, one file per part of the paper.

image -> image_tower -> hsm (cost maps) -> crm (K of T classes) -> cost_embedding, guidance -> escf -> decoder
"""
